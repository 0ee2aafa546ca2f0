// Through which attention heads do the circuits of each family run?
// Influences are means over the `considered` circuits with heads of each family and model. `effect` and `effect_size`
// are the mean effect of ablating the head and the mean of its absolute value, over the `measured` circuits; null
// when none was measured.
// $families: names of families; null means all families.
// $transcoders: ids of transcoder sets; null means all sets.
// Sample answer: family | model | layer | head | considered | net | gross | measured | effect | effect_size
//   "arithmetic" | "circuit-atlas/organism@0e36652b03e0" | 0 | 2 | 40 | 0.161 | 0.172 | 40 | -3.93 | 3.95
//   "arithmetic" | "circuit-atlas/organism@0e36652b03e0" | 0 | 0 | 40 | 0.143 | 0.156 | 40 | -3.28 | 3.38
//   "arithmetic" | "circuit-atlas/organism@0e36652b03e0" | 0 | 3 | 40 | 0.117 | 0.132 | 40 | -0.938 | 1.24
//   … 189 more rows
:param families => null;
:param transcoders => null;

MATCH (y:Family)<-[:IN_FAMILY]-(:Prompt)<-[:OF_PROMPT]-(c:Circuit)-[u:RUNS_THROUGH]->(h:Head)-[:OF_MODEL]->(m:Model)
WHERE ($families IS NULL OR y.name IN $families)
  AND ($transcoders IS NULL OR EXISTS { (c)-[:BY]->(t:TranscoderSet) WHERE t.id IN $transcoders })
WITH y.name AS family, m.id AS model, h.layer AS layer, h.number AS head, count(c) AS considered,
     avg(u.net) AS net, avg(u.gross) AS gross, count(u.effect) AS measured, avg(u.effect) AS effect,
     avg(abs(u.effect)) AS effect_size
ORDER BY family, model, gross DESC, layer, head
RETURN family, model, layer, head, considered, net, gross, measured, effect, effect_size
