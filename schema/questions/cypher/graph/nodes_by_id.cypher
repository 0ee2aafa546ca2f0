// What are the properties of these nodes?
// One row for each node that exists.
// $keys: ids of nodes.
// Sample answer: key | kind | layer | position | position_from_end | number | activation | influence | influence_is_bound | cumulative | token | probability | feature | pinned
//   "f8d98257b1a3c1872ea8/feature:0:9:1066" | "feature" | 0 | 9 | 0 | 1066 | 2.81 | 0.101 | false | 0.37 | null |
//     null | "organism-clt@247d388dcdf1/0/1066" | false
:param keys => ["f8d98257b1a3c1872ea8/feature:0:9:1066"];

UNWIND $keys AS key
MATCH (n:Node {id: key})
RETURN key,
       CASE WHEN n:FeatureNode THEN "feature" WHEN n:ErrorNode THEN "error" WHEN n:TokenNode THEN "token"
            WHEN n:LogitNode THEN "logit" ELSE "other" END AS kind,
       n.layer AS layer, n.position AS position, n.position_from_end AS position_from_end, n.index AS number,
       n.activation AS activation, n.influence AS influence,
       coalesce(n.influence_is_bound, false) AS influence_is_bound, n.cumulative AS cumulative, n.token AS token,
       n.probability AS probability, head([(n)-[:INSTANCE_OF]->(f:Feature) | f.id]) AS feature,
       coalesce(n.pinned, false) AS pinned
