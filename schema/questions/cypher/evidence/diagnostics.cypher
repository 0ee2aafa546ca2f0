// Which features do circuits claim to be important, and which have an effect when they are ablated?
// A feature is important when it has at least $min_share of the feature influence of its circuit. A feature without a
// share was pruned away, so its graph does not call it important; circuits of unknown influence are not diagnosed. A
// feature has an effect
// when p is at most $level. Two bands divide the features: by that share, and by the feature's share of the summed
// |weights| of all effects that leave features of the circuit (null when the test did not keep it). One row for each
// family, pair of bands and cell.
// $families: names of families; null means all families.
// $transcoders: ids of transcoder sets; null means all sets.
// $min_share: between 0 and 1.
// $level: greatest p-value.
// $edges: lower limits of the bands, highest first.
// Sample answer: family | n_circuits | band | weight_band | important | effective | n | stands_for | size
//   "multi-step" | 2 | 0 | 0 | true | false | 1 | 1 | 0.779
//   "multi-step" | 2 | 1 | 1 | true | false | 4 | 31 | 0.764
//   "multi-step" | 2 | 2 | 1 | true | false | 1 | 7 | 0.173
//   … 4 more rows
:param families => null;
:param transcoders => null;
:param min_share => 0.01;
:param level => 0.05;
:param edges => [0.1, 0.03, 0.01, 0.003];

MATCH (c:Circuit)-[:DIAGNOSED_BY]->(i:Intervention)
WHERE $transcoders IS NULL OR EXISTS { (c)-[:BY]->(t:TranscoderSet) WHERE t.id IN $transcoders }
WITH c, i, head([(c)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(y:Family) | y.name]) AS family
WHERE $families IS NULL OR family IN $families
WITH family, count(DISTINCT c) AS n_circuits, collect(i) AS tests
UNWIND tests AS i
WITH family, n_circuits,
     CASE WHEN i.share IS NULL THEN size($edges) + 1 ELSE size([e IN $edges WHERE i.share < e]) END AS band,
     CASE WHEN i.share IS NULL THEN size($edges) + 1
          WHEN i.weight_share IS NOT NULL THEN size([e IN $edges WHERE i.weight_share < e]) END AS weight_band,
     coalesce(i.share >= $min_share, false) AS important, i.p <= $level AS effective, i
RETURN family, n_circuits, band, weight_band, important, effective, count(i) AS n, sum(i.stands_for) AS stands_for,
       sum(abs(i.effect)) AS size
ORDER BY family, band, weight_band, important DESC, effective DESC
