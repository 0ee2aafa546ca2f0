// How much do the attention heads of circuits matter, and how do attention and MLPs compare by layer?
// `considered` counts the circuits with heads; every other number is over the `measured` circuits that were ablated.
// For heads: mean influence (the absolute value of each part) and mean absolute effect of ablating the head. For
// layers: mean absolute effects of ablating the attention and of ablating the MLP, the mean net influence that heads
// carry, and the mean influence of edges that cross the layer.
// $families: names of families; null means all families.
// $transcoders: ids of transcoder sets; null means all sets.
// Sample answer: family | model | considered | measured | heads | layers
//   "arithmetic" | "circuit-atlas/organism@0e36652b03e0" | 40 | 40 | [{head: 0, gross: 0.156, size: 3.38, layer: 0},
//     {head: 1, gross: 0.0891, size: 0.384, layer: 0}, … 22 more] | [{through: 0.493, mlp: 17.8, attention: 14.1,
//     crossing: 0.646, layer: 0}, {through: 0.148, mlp: 0.294, attention: 6.96, crossing: 0.538, layer: 1}, … 4 more]
//   "chain-of-thought" | "circuit-atlas/organism@0e36652b03e0" | 48 | 48 | [{head: 0, gross: 0.115, size: 1.28,
//     layer: 0}, {head: 1, gross: 0.126, size: 4.27, layer: 0}, … 22 more] | [{through: 0.477, mlp: 8.66, attention:
//     11.5, crossing: 0.568, layer: 0}, {through: 0.124, mlp: 0.754, attention: 2.6, crossing: 0.567, layer: 1}, … 4
//     more]
//   "entities" | "circuit-atlas/organism@0e36652b03e0" | 32 | 32 | [{head: 0, gross: 0.151, size: 1.26, layer: 0},
//     {head: 1, gross: 0.111, size: 0.965, layer: 0}, … 22 more] | [{through: 0.468, mlp: 12.6, attention: 7.19,
//     crossing: 0.563, layer: 0}, {through: 0.0405, mlp: 0.486, attention: 0.872, crossing: 0.589, layer: 1}, … 4
//     more]
//   … 5 more rows
:param families => null;
:param transcoders => null;

MATCH (y:Family)<-[:IN_FAMILY]-(:Prompt)<-[:OF_PROMPT]-(c:Circuit)-[:BY]->(t:TranscoderSet)-[:FOR]->(m:Model)
WHERE ($families IS NULL OR y.name IN $families) AND ($transcoders IS NULL OR t.id IN $transcoders)
  AND EXISTS { (c)-[:RUNS_THROUGH]->(:Head) }
OPTIONAL MATCH (c)-[:ABLATED]->(a:ComponentEffects)
WITH y.name AS family, m.id AS model, count(c) AS considered, collect(a) AS tests,
     collect(CASE WHEN a IS NOT NULL THEN c END) AS measured
CALL (measured) {
  UNWIND measured AS c
  MATCH (c)-[u:RUNS_THROUGH]->(h:Head)
  WITH h.layer AS layer, h.number AS head, avg(u.gross) AS gross, avg(abs(u.effect)) AS size
  ORDER BY layer, head
  RETURN collect({layer: layer, head: head, gross: gross, size: size}) AS heads
}
CALL (tests) {
  UNWIND tests AS a
  UNWIND range(0, size(a.mlp) - 1) AS layer
  WITH layer, avg(abs(a.attention[layer])) AS attention, avg(abs(a.mlp[layer])) AS mlp,
       avg(a.through_heads[layer]) AS through, avg(a.crossing[layer]) AS crossing
  ORDER BY layer
  RETURN collect({layer: layer, attention: attention, mlp: mlp, through: through, crossing: crossing}) AS layers
}
RETURN family, model, considered, size(measured) AS measured, heads, layers
ORDER BY family, model
