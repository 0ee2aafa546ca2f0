// Through which attention heads do the circuits of each family run?
// Means over the circuits that were loaded with heads: `considered` of each family and model. Effects of ablating the
// head, and their absolute values, are means over the `measured` of these.
// $families: only these; null: all.
// Sample answer: family | model | layer | head | considered | net | gross | measured | effect | effect_size
//   "arithmetic" | "circuit-atlas/organism@39080a99a500" | 0 | 3 | 40 | 0.155 | 0.167 | 40 | -3.47 | 3.53
//   "arithmetic" | "circuit-atlas/organism@39080a99a500" | 0 | 0 | 40 | 0.118 | 0.133 | 40 | -1.74 | 1.85
//   "arithmetic" | "circuit-atlas/organism@39080a99a500" | 0 | 1 | 40 | 0.111 | 0.131 | 40 | -0.92 | 1.07
//   … 189 more rows
:param families => null;

MATCH (y:Family)<-[:IN_FAMILY]-(:Prompt)<-[:OF_PROMPT]-(c:Circuit)-[u:RUNS_THROUGH]->(h:Head)-[:OF_MODEL]->(m:Model)
WHERE $families IS NULL OR y.name IN $families
WITH y.name AS family, m.id AS model, h.layer AS layer, h.number AS head, count(c) AS considered,
     avg(u.net) AS net, avg(u.gross) AS gross, count(u.effect) AS measured, avg(u.effect) AS effect,
     avg(abs(u.effect)) AS effect_size
ORDER BY family, model, gross DESC, layer, head
RETURN family, model, layer, head, considered, net, gross, measured, effect, effect_size
