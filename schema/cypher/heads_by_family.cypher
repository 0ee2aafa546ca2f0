// Through which attention heads do the circuits of each family run?
// Means over the circuits that were loaded with heads: `considered` of each family and model.
// $families: only these; null: all.
// Sample answer: family | model | layer | head | considered | net | gross
//   "arithmetic" | "circuit-atlas/organism@39080a99a500" | 0 | 3 | 40 | 0.155 | 0.167
//   "arithmetic" | "circuit-atlas/organism@39080a99a500" | 0 | 0 | 40 | 0.118 | 0.133
//   "arithmetic" | "circuit-atlas/organism@39080a99a500" | 0 | 1 | 40 | 0.111 | 0.131
//   … 189 more rows
:param families => null;

MATCH (y:Family)<-[:IN_FAMILY]-(:Prompt)<-[:OF_PROMPT]-(c:Circuit)-[u:RUNS_THROUGH]->(h:Head)-[:OF_MODEL]->(m:Model)
WHERE $families IS NULL OR y.name IN $families
WITH y.name AS family, m.id AS model, h.layer AS layer, h.number AS head, count(c) AS considered,
     avg(u.net) AS net, avg(u.gross) AS gross
ORDER BY family, model, gross DESC, layer, head
RETURN family, model, layer, head, considered, net, gross
