// What did a claim's edits do in each of its circuits, beside what the graph predicts and random features?
// changes: of the circuit's logits and of features downstream, predicted and measured; features by pre-activation.
// Sample answer: key | circuit | prompt | token | edits | predicted | effect | null_mean | null_sd | n_null | p | n_edited | changes
//   "877631c216ef7d7fe82f" | "026e0f62f6b68348ac81" | "the code of the state containing santa jose is" | "us-ut" |
//     ["ablate 0/207@all", "ablate 0/453@all", … 5 more] | null | -9.3e-08 | -9.3e-08 | 0 | 99 | 1 | 0 | [{node:
//     "026e0f62f6b68348ac81/logit:6:9:1156", measured: 0, predicted: null}, {node:
//     "026e0f62f6b68348ac81/feature:0:2:1288", measured: 0, predicted: null}, … 9 more]
//   "877631c216ef7d7fe82f" | "08d771b774e9ec1a6dc7" | "the capital of the state containing san vernon is" |
//     "nashville" | ["ablate 0/207@all", "ablate 0/453@all", … 5 more] | -4.7 | -3.35 | -0.392 | 0.206 | 99 | 0.01 |
//     7 | [{node: "08d771b774e9ec1a6dc7/logit:6:9:792", measured: -3.35, predicted: -4.7}, {node:
//     "08d771b774e9ec1a6dc7/feature:3:9:1260", measured: -1.45, predicted: -1.69}, … 1 more]
//   "877631c216ef7d7fe82f" | "0bfb4b8268fd17fac44c" | "the capital of the state containing west springs is" |
//     "columbus" | ["ablate 0/207@all", "ablate 0/453@all", … 5 more] | -5.71 | -5.97 | -0.516 | 0.273 | 99 | 0.01 |
//     7 | [{node: "0bfb4b8268fd17fac44c/logit:6:9:387", measured: -5.97, predicted: -5.71}, {node:
//     "0bfb4b8268fd17fac44c/feature:3:9:1260", measured: -2.36, predicted: -1.89}, … 1 more]
//   … 17 more rows
:param keys => ["877631c216ef7d7fe82f"];

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
