// What did each intervention of a hypothesis do, beside random features?
:param keys => ["00000000000000000000"];

UNWIND $keys AS key
MATCH (:Hypothesis {id: key})-[:TESTED_BY]->(i:Intervention)
RETURN key, i.prompt AS prompt, i.token AS token, i.edits AS edits, i.effect AS effect, i.null_mean AS null_mean,
       i.null_sd AS null_sd, i.n_null AS n_null, i.n_edited AS n_edited
ORDER BY key, i.id
