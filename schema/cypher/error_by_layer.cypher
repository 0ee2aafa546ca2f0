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
WITH t, c.layer_features AS features, c.layer_errors AS errors
WHERE features IS NOT NULL
UNWIND range(0, size(features) - 1) AS layer
WITH t, layer, features[layer] AS features, errors[layer] AS errors
WHERE features > 0 OR errors > 0
WITH t, layer, count(*) AS n_circuits, sum(errors) AS errors, sum(features) AS features
RETURN t.id AS transcoders, layer, n_circuits, errors, features, errors / (errors + features) AS error_share
ORDER BY transcoders, layer
