// Which claims about interventions were measured, and which of them survive the correction for multiple tests?
// q is the Benjamini-Hochberg q-value over all claims, whatever their result. A claim survives when the graphs
// predict a change, the measured change has the predicted sign, and q is at most $level.
// $ids: ids of claims; null means all claims.
// $families: names of families; null means all families.
// $survived: true or false selects claims that survive or do not; null means both.
// $level: the false discovery rate, between 0 and 1.
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: total | rows
//   1 | [{measured_at: "2026-11-26T16:10:04.142Z", seed: 0, survived: true, n_measured: 1, constrained: null, p:
//     0.01, q: 0.01, null_sd: 0.0535, freeze: "nothing", n_circuits: 20, null_mean: -0.255, effect: -4.05, edits:
//     ["ablate {capital|label-and-position-v1}@all"], draws: 99, transcoders: "organism-clt@247d388dcdf1", id:
//     "30c96eaad074927047be", family: "multi-step", writes: null, predicted: -8.05}]
:param ids => null;
:param families => null;
:param survived => null;
:param level => 0.05;
:param skip => 0;
:param limit => 20;

OPTIONAL MATCH (k:Claim)
WITH collect(k) AS kept
WITH kept, [k IN kept | k.p] AS tried
CALL (kept, tried) {
  UNWIND kept AS k
  CALL (k, tried) {
    UNWIND [p IN tried WHERE p >= k.p] AS p
    WITH p * size(tried) / size([other IN tried WHERE other <= p]) AS q
    RETURN CASE WHEN min(q) > 1 THEN 1.0 ELSE min(q) END AS q
  }
  WITH k, q, coalesce(k.predicted * k.effect > 0, false) AND q <= $level AS survives
  WHERE ($ids IS NULL OR k.id IN $ids) AND ($families IS NULL OR k.family IN $families)
    AND ($survived IS NULL OR survives = $survived)
  WITH k, q, survives ORDER BY k.p, k.id
  RETURN collect({id: k.id, edits: k.edits, transcoders: k.transcoders, family: k.family, freeze: k.freeze,
                  constrained: k.constrained, writes: k.writes, draws: k.draws, seed: k.seed,
                  n_circuits: size(k.circuits), predicted: k.predicted, effect: k.effect, null_mean: k.null_mean,
                  null_sd: k.null_sd, p: k.p, q: q, n_measured: size(tried), survived: survives,
                  measured_at: toString(k.measured_at)}) AS rows
}
RETURN size(rows) AS total, rows[$skip .. $skip + $limit] AS rows
