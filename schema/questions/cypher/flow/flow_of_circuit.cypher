// Which nodes and direct effects does a circuit consist of?
// The answer holds the whole graph, so that sums over paths can be computed from it.
// $keys: ids of circuits.
// Sample answer: key | nodes | sources | targets | weights
//   "f8d98257b1a3c1872ea8" | [{kind: "TokenNode", probability: null, id: "f8d98257b1a3c1872ea8/token:-1:0:0",
//     position: 0, activation: null, token: "<bos>"}, {kind: "TokenNode", probability: null, id:
//     "f8d98257b1a3c1872ea8/token:-1:1:1084", position: 1, activation: null, token: "the"}, … 33 more] |
//     ["f8d98257b1a3c1872ea8/token:-1:9:644", "f8d98257b1a3c1872ea8/token:-1:9:644", … 173 more] |
//     ["f8d98257b1a3c1872ea8/feature:0:9:247", "f8d98257b1a3c1872ea8/feature:0:9:698", … 173 more] | [-0.344, 0.239,
//     … 173 more]
:param keys => ["f8d98257b1a3c1872ea8"];

UNWIND $keys AS key
MATCH (c:Circuit {id: key})
CALL (c) {
  MATCH (c)-[:HAS]->(n:Node)
  WITH n ORDER BY n.position, n.id
  RETURN collect({id: n.id, kind: head([l IN labels(n) WHERE l <> "Node"]), position: n.position, token: n.token,
                  activation: n.activation, probability: n.probability}) AS nodes
}
CALL (c) {
  MATCH (c)-[:HAS]->(s:Node)-[e:ATTRIBUTES]->(t:Node)
  RETURN collect(s.id) AS sources, collect(t.id) AS targets, collect(e.weight) AS weights
}
RETURN key, nodes, sources, targets, weights
