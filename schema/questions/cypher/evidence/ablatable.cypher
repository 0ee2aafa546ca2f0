// Which data of a circuit does ablating its heads and layers need?
// The columns give the prompt, the answer and what the attribution graph claims about layers. The influence of an
// edge is its share of the inputs of its target times the influence of the target. `through`: net influence that
// heads carry, by layer. `crossings`: influence of edges by the layers of their two ends.
// $keys: ids of circuits.
// Sample answer: key | token_ids | target_position | token_id | token | through | crossings
//   "f8d98257b1a3c1872ea8" | [0, 1084, … 8 more] | 9 | 259 | "austin" | [0.51, 0.00313, … 4 more] | [{source: -1,
//     target: 0, influence: 0.604}, {source: -1, target: 3, influence: 0.00649}, … 17 more]
:param keys => ["f8d98257b1a3c1872ea8"];

UNWIND $keys AS key
MATCH (c:Circuit {id: key})-[:OF_PROMPT]->(p:Prompt)
CALL (c) {
  OPTIONAL MATCH (c)-[:HAS]->(l:LogitNode)
  WHERE l.index IS NOT NULL AND l.position = c.target_position
  WITH l ORDER BY l.probability DESC, l.id
  RETURN head(collect(l)) AS l
}
CALL (c) {
  MATCH (c)-[u:RUNS_THROUGH]->(h:Head)
  WITH h.layer AS layer, sum(u.net) AS net ORDER BY layer
  RETURN collect(net) AS through
}
CALL (c) {
  MATCH (c)-[:HAS]->(s:Node)-[e:ATTRIBUTES]->(t:Node)
  WITH s.layer AS source, t.layer AS target, sum(e.share * t.influence) AS influence
  RETURN collect({source: source, target: target, influence: influence}) AS crossings
}
RETURN key, p.token_ids AS token_ids, c.target_position AS target_position, l.index AS token_id,
       l.token AS token, through, crossings
