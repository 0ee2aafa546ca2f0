// Which jobs are in this state?
// The newest jobs come first.
// $state: queued, running, done or failed; null means any state.
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: total | rows
//   1 | [{measured: null, asked_at: "2026-11-30T21:48:01.945707902Z", error: null, asked_by: "ada", n_done: 2,
//     taken_by: null, taken_until: null, n_prompts: 2, transcoders: null, state: "done", ended_at:
//     "2026-11-30T21:48:04.537092831Z", circuits: ["583d85d501bdd53e6f0e", "f8d98257b1a3c1872ea8"], prompts:
//     ["{"family":"multi-step","prompt":"the capital of the state c…", "{"family":"multi-step","prompt":"the code of
//     the state cont…"], key: "d99679a88ba77cc76e8c", attempts: 1, problems: []}]
:param state => null;
:param skip => 0;
:param limit => 20;

CALL () {
  MATCH (j:Job)
  WHERE $state IS NULL OR j.state = $state
  WITH j ORDER BY j.asked_at DESC, j.id
  RETURN collect(j) AS found
}
RETURN size(found) AS total, COLLECT {
  UNWIND found[$skip .. $skip + $limit] AS j
  RETURN {
    key: j.id, state: j.state, prompts: j.prompts, n_prompts: j.n_prompts, n_done: j.n_done, problems: j.problems,
    error: j.error, asked_by: j.asked_by, asked_at: toString(j.asked_at), attempts: j.attempts,
    taken_by: j.taken_by, taken_until: toString(j.taken_until), ended_at: toString(j.ended_at),
    transcoders: j.transcoders, measured: j.measured,
    circuits: COLLECT { MATCH (j)-[:GAVE]->(c:Circuit) RETURN c.id ORDER BY c.id }
  }
} AS rows
