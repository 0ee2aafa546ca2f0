// How much of the influence of the nodes that pruning kept is the errors', by layer and transcoder set?
// Summed over circuits; nodes of unknown influence are left out. $families null: all.
// Sample answer: transcoders | layer | n_circuits | errors | features | error_share
//   "organism-clt@552ee159aac5" | 0 | 366 | 16.8 | 214 | 0.0727
//   "organism-clt@552ee159aac5" | 1 | 310 | 1.6 | 33.5 | 0.0457
//   "organism-clt@552ee159aac5" | 2 | 305 | 0.761 | 16.3 | 0.0446
//   … 3 more rows
:param families => null;

MATCH (t:TranscoderSet)<-[:BY]-(c:Circuit)-[:OF_PROMPT]->(p:Prompt)
WHERE $families IS NULL OR EXISTS { (p)-[:IN_FAMILY]->(y:Family) WHERE y.name IN $families }
MATCH (c)-[:HAS]->(n:FeatureNode|ErrorNode)
WHERE n.influence IS NOT NULL
WITH t, n.layer AS layer, n:ErrorNode AS error, c, sum(n.influence) AS influence
WITH t, layer, count(DISTINCT c) AS n_circuits, sum(CASE WHEN error THEN influence ELSE 0.0 END) AS errors,
     sum(CASE WHEN error THEN 0.0 ELSE influence END) AS features
RETURN t.id AS transcoders, layer, n_circuits, errors, features,
       CASE WHEN errors + features > 0 THEN errors / (errors + features) END AS error_share
ORDER BY transcoders, layer
