// What did the edits of a claim do in each circuit, compared with the graph's prediction and with random features?
// `changes`: predicted and measured changes of the circuit's logits and of downstream features. The changes of
// features are changes of their pre-activations.
// $keys: ids of claims.
// Sample answer: key | circuit | prompt | token | edits | predicted | effect | null_mean | null_sd | n_null | p | n_edited | changes
//   "30c96eaad074927047be" | "09c723f9aa9367bd4312" | "the capital of the state containing south jordan is" |
//     "salt-lake-city" | ["ablate 0/207@all", "ablate 0/453@all", … 5 more] | -8.21 | -8.72 | -0.715 | 0.438 | 99 |
//     0.01 | 7 | [{node: "09c723f9aa9367bd4312/logit:6:9:972", measured: -8.72, predicted: -8.21}, {node:
//     "09c723f9aa9367bd4312/feature:4:9:1214", measured: -1.39, predicted: -1.24}, … 2 more]
//   "30c96eaad074927047be" | "0c7582ddf7342997bb92" | "the code of the state containing west springs is" | "us-oh" |
//     ["ablate 0/207@all", "ablate 0/453@all", … 5 more] | null | 1.75e-06 | 1.75e-06 | 0 | 99 | 1 | 0 | [{node:
//     "0c7582ddf7342997bb92/logit:6:9:1150", measured: 0, predicted: null}, {node:
//     "0c7582ddf7342997bb92/feature:0:2:1091", measured: 0, predicted: null}, … 9 more]
//   "30c96eaad074927047be" | "0cd535ca2eedf1aac96b" | "the code of the state containing new vernon is" | "us-co" |
//     ["ablate 0/207@all", "ablate 0/453@all", … 5 more] | null | -5.77e-06 | -5.77e-06 | 0 | 99 | 1 | 0 | [{node:
//     "0cd535ca2eedf1aac96b/logit:6:9:1127", measured: 0, predicted: null}, {node:
//     "0cd535ca2eedf1aac96b/feature:0:2:1348", measured: 0, predicted: null}, … 9 more]
//   … 17 more rows
:param keys => ["30c96eaad074927047be"];

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
