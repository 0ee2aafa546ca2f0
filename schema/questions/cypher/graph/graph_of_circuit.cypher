// What is the whole graph of a circuit?
// The answer holds every node, and every direct effect as parallel lists of ids and weights.
// $keys: ids of circuits.
// Sample answer: key | nodes | sources | targets | weights
//   "f8d98257b1a3c1872ea8" | [["f8d98257b1a3c1872ea8/token:-1:0:0", "token", … 12 more],
//     ["f8d98257b1a3c1872ea8/token:-1:1:1084", "token", … 12 more], … 33 more] |
//     ["f8d98257b1a3c1872ea8/feature:0:9:1288", "f8d98257b1a3c1872ea8/feature:5:9:1235", … 173 more] |
//     ["f8d98257b1a3c1872ea8/logit:6:9:259", "f8d98257b1a3c1872ea8/logit:6:9:259", … 173 more] | [0.173, 1.02, … 173
//     more]
:param keys => ["f8d98257b1a3c1872ea8"];

UNWIND $keys AS key
MATCH (c:Circuit {id: key})
CALL (c) {
  MATCH (c)-[:HAS]->(n:Node)
  OPTIONAL MATCH (n)-[:INSTANCE_OF]->(f:Feature)
  WITH n, f ORDER BY n.layer, n.position, n.id
  RETURN collect([
    n.id,
    CASE WHEN n:FeatureNode THEN "feature" WHEN n:ErrorNode THEN "error" WHEN n:TokenNode THEN "token"
         WHEN n:LogitNode THEN "logit" ELSE "other" END,
    n.layer, n.position, n.position_from_end, n.index, n.activation, n.influence,
    coalesce(n.influence_is_bound, false), n.cumulative, n.token, n.probability, f.id,
    coalesce(n.pinned, false)]) AS nodes
}
CALL (c) {
  MATCH (c)-[:HAS]->(t:Node)<-[e:ATTRIBUTES]-(s:Node)
  RETURN collect(s.id) AS sources, collect(t.id) AS targets, collect(e.weight) AS weights
}
RETURN key, nodes, sources, targets, weights
