// What did each intervention of a hypothesis do, compared with random features?
// $keys: ids of hypotheses.
// Sample answer: key | prompt | token | edits | effect | null_mean | null_sd | n_null | n_edited
//   "c2b42b23763dd50b71bd" | "the capital of the state containing port arthur is" | "austin" | ["ablate 3/330@all"] |
//     0.803 | -0.284 | 0.518 | 199 | 1
//   "c2b42b23763dd50b71bd" | "the capital of the state containing santa clara is" | "sacramento" | ["ablate
//     3/330@all"] | -1.38 | -0.363 | 0.453 | 199 | 1
//   "c2b42b23763dd50b71bd" | "the capital of the state containing great point is" | "atlanta" | ["ablate 3/330@all"]
//     | 0.0738 | -0.286 | 0.531 | 199 | 1
//   … 9 more rows
:param keys => COLLECT { MATCH (h:Hypothesis) RETURN h.id };

UNWIND $keys AS key
MATCH (:Hypothesis {id: key})-[:TESTED_BY]->(i:Intervention)
RETURN key, i.prompt AS prompt, i.token AS token, i.edits AS edits, i.effect AS effect, i.null_mean AS null_mean,
       i.null_sd AS null_sd, i.n_null AS n_null, i.n_edited AS n_edited
ORDER BY key, i.id
