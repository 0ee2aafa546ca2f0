// Through which attention heads does a circuit run, and how much of its influence?
// No rows: it was loaded without heads.
// Sample answer: key | layer | head | net | gross
//   "52fae534bf544daf8271" | 0 | 0 | 0.138 | 0.146
//   "52fae534bf544daf8271" | 3 | 2 | 0.143 | 0.143
//   "52fae534bf544daf8271" | 0 | 1 | 0.135 | 0.139
//   … 21 more rows
:param keys => ["f8d98257b1a3c1872ea8"];

UNWIND $keys AS key
MATCH (:Circuit {id: key})-[u:RUNS_THROUGH]->(h:Head)
RETURN key, h.layer AS layer, h.number AS head, u.net AS net, u.gross AS gross
ORDER BY key, gross DESC, layer, head
