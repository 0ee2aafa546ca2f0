// How far are these jobs, and which circuits did they give?
:param keys => ["00000000000000000000"];

UNWIND $keys AS key
MATCH (j:Job {id: key})
RETURN key, j.state AS state, j.prompts AS prompts, j.n_prompts AS n_prompts, j.n_done AS n_done,
       j.problems AS problems, j.error AS error, j.asked_by AS asked_by, toString(j.asked_at) AS asked_at,
       j.attempts AS attempts, j.taken_by AS taken_by, toString(j.taken_until) AS taken_until,
       toString(j.ended_at) AS ended_at,
       j.transcoders AS transcoders, j.measured AS measured,
       COLLECT { MATCH (j)-[:GAVE]->(c:Circuit) RETURN c.id ORDER BY c.id } AS circuits
