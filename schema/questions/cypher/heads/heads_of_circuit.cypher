// Through which attention heads does a circuit run, and how much of its influence does each head carry?
// A circuit that was loaded without heads has no rows.
// $keys: ids of circuits.
// Sample answer: key | layer | head | net | gross
//   "f8d98257b1a3c1872ea8" | 0 | 1 | 0.177 | 0.177
//   "f8d98257b1a3c1872ea8" | 3 | 2 | 0.134 | 0.134
//   "f8d98257b1a3c1872ea8" | 0 | 3 | 0.12 | 0.126
//   … 21 more rows
:param keys => ["f8d98257b1a3c1872ea8"];

UNWIND $keys AS key
MATCH (:Circuit {id: key})-[u:RUNS_THROUGH]->(h:Head)
RETURN key, h.layer AS layer, h.number AS head, u.net AS net, u.gross AS gross
ORDER BY key, gross DESC, layer, head
