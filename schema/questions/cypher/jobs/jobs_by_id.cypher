// What is the progress of these jobs, and which circuits did they give?
// One row for each job that exists.
// $keys: ids of jobs.
// Sample answer: key | state | prompts | n_prompts | n_done | problems | error | asked_by | asked_at | attempts | taken_by | taken_until | ended_at | transcoders | measured | circuits
//   "d99679a88ba77cc76e8c" | "done" | ["{"family":"multi-step","prompt":"the capital of the state c…",
//     "{"family":"multi-step","prompt":"the code of the state cont…"] | 2 | 2 | [] | null | "ada" |
//     "2026-11-30T21:48:01.945707902Z" | 1 | null | null | "2026-11-30T21:48:04.537092831Z" | null | null |
//     ["583d85d501bdd53e6f0e", "f8d98257b1a3c1872ea8"]
:param keys => COLLECT { MATCH (j:Job) RETURN j.id ORDER BY j.asked_at DESC LIMIT 1 };

UNWIND $keys AS key
MATCH (j:Job {id: key})
RETURN key, j.state AS state, j.prompts AS prompts, j.n_prompts AS n_prompts, j.n_done AS n_done,
       j.problems AS problems, j.error AS error, j.asked_by AS asked_by, toString(j.asked_at) AS asked_at,
       j.attempts AS attempts, j.taken_by AS taken_by, toString(j.taken_until) AS taken_until,
       toString(j.ended_at) AS ended_at,
       j.transcoders AS transcoders, j.measured AS measured,
       COLLECT { MATCH (j)-[:GAVE]->(c:Circuit) RETURN c.id ORDER BY c.id } AS circuits
