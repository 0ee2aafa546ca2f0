// What did a claim's edits do in each of its circuits, beside what the graph predicts and random features?
// changes: of the circuit's logits and of features downstream, predicted and measured; features by pre-activation.
:param keys => ["00000000000000000000"];

UNWIND $keys AS key
MATCH (:Claim {id: key})-[:MEASURED_BY]->(i:Intervention)
CALL (i) {
  OPTIONAL MATCH (i)-[c:CHANGED]->(n:Node)
  WITH n, c ORDER BY n.layer DESC, abs(c.measured) DESC, n.id
  RETURN collect({node: n.id, predicted: c.predicted, measured: c.measured}) AS found
}
RETURN key, head([(i)-[:ON]->(c:Circuit) | c.id]) AS circuit, i.prompt AS prompt, i.token AS token, i.edits AS edits,
       i.predicted AS predicted, i.effect AS effect, i.null_mean AS null_mean, i.null_sd AS null_sd,
       i.n_null AS n_null, i.p AS p, i.n_edited AS n_edited,
       [each IN found WHERE each.node IS NOT NULL] AS changes
ORDER BY key, i.id
