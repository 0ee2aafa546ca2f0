// Do the heads that circuits run through matter, and how does attention compare with MLPs?
// `considered`: circuits loaded with heads; all else over the `measured` of these that were ablated. Of heads: mean
// influence, every part positive, and mean absolute effect. Of layers: mean absolute effects without attention and without
// the MLP, and the mean influence that heads carry (net) and that crosses the layer. $families: only these; null: all.
// Sample answer: family | model | considered | measured | heads | layers
//   "arithmetic" | "circuit-atlas/organism@39080a99a500" | 40 | 40 | [{head: 0, gross: 0.133, size: 1.85, layer: 0},
//     {head: 1, gross: 0.131, size: 1.07, layer: 0}, … 22 more] | [{through: 0.493, mlp: 16.6, attention: 14.9,
//     crossing: 0.647, layer: 0}, {through: 0.0914, mlp: 0.561, attention: 5.14, crossing: 0.52, layer: 1}, … 4 more]
//   "chain-of-thought" | "circuit-atlas/organism@39080a99a500" | 48 | 48 | [{head: 0, gross: 0.106, size: 1.86,
//     layer: 0}, {head: 1, gross: 0.0943, size: 1.07, layer: 0}, … 22 more] | [{through: 0.466, mlp: 11.4, attention:
//     9.62, crossing: 0.566, layer: 0}, {through: 0.0674, mlp: 0.617, attention: 1.53, crossing: 0.562, layer: 1}, …
//     4 more]
//   "entities" | "circuit-atlas/organism@39080a99a500" | 32 | 32 | [{head: 0, gross: 0.135, size: 1.16, layer: 0},
//     {head: 1, gross: 0.127, size: 1.6, layer: 0}, … 22 more] | [{through: 0.477, mlp: 14.1, attention: 9.73,
//     crossing: 0.569, layer: 0}, {through: 0.0235, mlp: 0.711, attention: 0.641, crossing: 0.59, layer: 1}, … 4
//     more]
//   … 5 more rows
:param families => null;

MATCH (y:Family)<-[:IN_FAMILY]-(:Prompt)<-[:OF_PROMPT]-(c:Circuit)-[:BY]->(:TranscoderSet)-[:FOR]->(m:Model)
WHERE ($families IS NULL OR y.name IN $families) AND EXISTS { (c)-[:RUNS_THROUGH]->(:Head) }
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
