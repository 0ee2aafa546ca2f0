// Which data of a circuit does measuring interventions need?
// The columns give the prompt, the answer, and the features that pruning kept and removed.
// $keys: ids of circuits.
// Sample answer: key | text | token_ids | special_first_token | n_left_out | target_position | logit | token_id | token | uses | pruned
//   "f8d98257b1a3c1872ea8" | "the capital of the state containing north dallas is" | [0, 1084, … 8 more] | true | 1 |
//     9 | "f8d98257b1a3c1872ea8/logit:6:9:259" | 259 | "austin" | [{number: 207, layer: 0, influence: 0.0375},
//     {number: 247, layer: 0, influence: 0.0228}, … 21 more] | [1029, 3072, … 237 more]
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
  MATCH (c)-[u:USES]->(f:Feature)
  WHERE f.component IS NULL
  WITH u, f ORDER BY f.layer, f.index
  RETURN collect({layer: f.layer, number: f.index, influence: u.influence}) AS uses
}
RETURN key, p.text AS text, p.token_ids AS token_ids, c.special_first_token AS special_first_token,
       c.n_left_out AS n_left_out, c.target_position AS target_position, l.id AS logit, l.index AS token_id, l.token AS token, uses,
       c.pruned_features AS pruned
