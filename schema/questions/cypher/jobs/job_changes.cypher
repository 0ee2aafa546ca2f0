// Which of these jobs have changed?
// One row for each job that exists. `state`, `n_done` and the others change with the job; nothing long is read.
// $keys: ids of jobs.
// Sample answer: key | state | n_done | attempts | error | taken_by | ended_at | n_problems
//   "d99679a88ba77cc76e8c" | "done" | 2 | 1 | null | null | "2026-11-30T21:48:04.537092831Z" | 0
:param keys => COLLECT { MATCH (j:Job) RETURN j.id ORDER BY j.asked_at DESC LIMIT 1 };

UNWIND $keys AS key
MATCH (j:Job {id: key})
RETURN key, j.state AS state, j.n_done AS n_done, j.attempts AS attempts, j.error AS error, j.taken_by AS taken_by,
       toString(j.ended_at) AS ended_at, size(j.problems) AS n_problems
