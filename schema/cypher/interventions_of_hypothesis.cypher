// What did each intervention of a hypothesis do, beside random features?
// Sample answer: key | prompt | token | edits | effect | null_mean | null_sd | n_null | n_edited
//   "21813b4d35fbf0d4434c" | "the capital of the state containing santa clara is" | "sacramento" | ["ablate
//     3/1260@all"] | -1.55 | 0.1 | 0 | 199 | 1
//   "21813b4d35fbf0d4434c" | "the capital of the state containing great point is" | "atlanta" | ["ablate 3/1260@all"]
//     | -0.125 | -0.271 | 0.561 | 199 | 1
//   "21813b4d35fbf0d4434c" | "the capital of the state containing east point is" | "atlanta" | ["ablate 3/1260@all"]
//     | -1.18 | -0.332 | 0.538 | 199 | 1
//   … 9 more rows
:param keys => COLLECT { MATCH (h:Hypothesis) RETURN h.id };

UNWIND $keys AS key
MATCH (:Hypothesis {id: key})-[:TESTED_BY]->(i:Intervention)
RETURN key, i.prompt AS prompt, i.token AS token, i.edits AS edits, i.effect AS effect, i.null_mean AS null_mean,
       i.null_sd AS null_sd, i.n_null AS n_null, i.n_edited AS n_edited
ORDER BY key, i.id
