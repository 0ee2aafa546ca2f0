// What share of the influence of the nodes that pruning kept belongs to error nodes, by layer and transcoder set?
// `errors` and `features` are influences summed over circuits; `error_share` is errors / (errors + features). Nodes
// of unknown influence are left out.
// The influence of n_derived circuits is derived: a share of all influence.
// $families: names of families; null means all families.
// $transcoders: ids of transcoder sets; null means all sets.
// Sample answer: transcoders | layer | n_circuits | n_derived | errors | features | error_share
//   "organism-clt@247d388dcdf1" | 0 | 366 | 0 | 15.7 | 206 | 0.0709
//   "organism-clt@247d388dcdf1" | 1 | 343 | 0 | 1.1 | 34.8 | 0.0306
//   "organism-clt@247d388dcdf1" | 2 | 240 | 0 | 0.629 | 13 | 0.046
//   … 3 more rows
:param families => null;
:param transcoders => null;

MATCH (t:TranscoderSet)<-[:BY]-(c:Circuit)-[:OF_PROMPT]->(p:Prompt)
WHERE ($families IS NULL OR EXISTS { (p)-[:IN_FAMILY]->(y:Family) WHERE y.name IN $families })
  AND ($transcoders IS NULL OR t.id IN $transcoders)
WITH t, "influence" IN coalesce(c.derived, []) AS derived, c.layer_features AS features, c.layer_errors AS errors
WHERE features IS NOT NULL
UNWIND range(0, size(features) - 1) AS layer
WITH t, derived, layer, features[layer] AS features, errors[layer] AS errors
WHERE features > 0 OR errors > 0
WITH t, layer, count(*) AS n_circuits, count(CASE WHEN derived THEN 1 END) AS n_derived,
     sum(errors) AS errors, sum(features) AS features
RETURN t.id AS transcoders, layer, n_circuits, n_derived, errors, features,
       errors / (errors + features) AS error_share
ORDER BY transcoders, layer
