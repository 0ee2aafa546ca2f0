// Through which attention heads does a circuit run, and how much of its influence?
// No rows: it was loaded without heads.
:param keys => ["00000000000000000000"];

UNWIND $keys AS key
MATCH (:Circuit {id: key})-[u:RUNS_THROUGH]->(h:Head)
RETURN key, h.layer AS layer, h.number AS head, u.net AS net, u.gross AS gross
ORDER BY key, gross DESC, layer, head
