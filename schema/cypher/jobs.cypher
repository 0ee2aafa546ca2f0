// Which jobs are in one state (null: any), the newest first?
:param state => "queued";
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
