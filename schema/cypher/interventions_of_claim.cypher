// What did a claim's edits do in each of its circuits, beside what the graph predicts and random features?
:param keys => ["00000000000000000000"];

UNWIND $keys AS key
MATCH (:Claim {id: key})-[:MEASURED_BY]->(i:Intervention)
RETURN key, head([(i)-[:ON]->(c:Circuit) | c.id]) AS circuit, i.prompt AS prompt, i.token AS token, i.edits AS edits,
       i.predicted AS predicted, i.effect AS effect, i.null_mean AS null_mean, i.null_sd AS null_sd,
       i.n_null AS n_null, i.p AS p, i.n_edited AS n_edited
ORDER BY key, i.id
