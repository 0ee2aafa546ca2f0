// Which claims about interventions were measured, and what was the result of each claim?
// `rows` are the claims that were asked for, ordered by p. `tested` are the p-values of all claims, whatever their
// result. The Benjamini-Hochberg q-values, and the claims that survive, are computed from them
// (schema.evidence.false_discovery).
// $ids: ids of claims; null means all claims.
// $families: names of families; null means all families.
// $transcoders: ids of transcoder sets; null means all sets.
// Sample answer: tested | rows
//   [0.01] | [{measured_at: "2026-11-30T21:43:35.913Z", seed: 0, constrained: null, p: 0.01, null_sd: 0.0535, freeze:
//     "nothing", n_circuits: 20, null_mean: -0.255, effect: -4.05, edits: ["ablate
//     {capital|label-and-position-v1}@all"], draws: 99, transcoders: "organism-clt@247d388dcdf1", id:
//     "30c96eaad074927047be", family: "multi-step", writes: null, predicted: -8.05}]
:param ids => null;
:param families => null;
:param transcoders => null;

OPTIONAL MATCH (k:Claim)
WITH collect(k) AS kept
CALL (kept) {
  UNWIND kept AS k
  WITH k
  WHERE ($ids IS NULL OR k.id IN $ids) AND ($families IS NULL OR k.family IN $families)
    AND ($transcoders IS NULL OR k.transcoders IN $transcoders)
  WITH k ORDER BY k.p, k.id
  RETURN collect({id: k.id, edits: k.edits, transcoders: k.transcoders, family: k.family, freeze: k.freeze,
                  constrained: k.constrained, writes: k.writes, draws: k.draws, seed: k.seed,
                  n_circuits: size(k.circuits), predicted: k.predicted, effect: k.effect, null_mean: k.null_mean,
                  null_sd: k.null_sd, p: k.p, measured_at: toString(k.measured_at)}) AS rows
}
RETURN [k IN kept | k.p] AS tested, rows
