// Which nodes and direct effects does a circuit have, whole, so that sums over paths can be taken?
:param keys => ["00000000000000000000"];

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
