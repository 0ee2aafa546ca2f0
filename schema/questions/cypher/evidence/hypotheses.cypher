// Which hypotheses were registered, what did their tests find, and which of them survive the correction?
// q is the Benjamini-Hochberg q-value over all hypotheses that were tested, whatever their result. A hypothesis
// survives when q is at most $level.
// $level: the false discovery rate, between 0 and 1.
// Sample answer: id | question | edits | prediction | n_prompts | n_formed_on | registered_at | tested_at | mean_effect | null_mean | draws | p | q | n_tested | survived
//   "c2b42b23763dd50b71bd" | "does what says a capital's first letters also say the capit…" | ["ablate 3/330@all"] |
//     "lowers" | 12 | 18 | "2026-11-26T16:10:04.301Z" | "2026-11-26T16:10:09.973Z" | -0.408 | -0.124 | 199 | 0.005 |
//     0.005 | 1 | true
:param level => 0.05;

MATCH (h:Hypothesis)
WITH collect(h) AS all
WITH all, [h IN all WHERE h.p IS NOT NULL | h.p] AS tried
UNWIND all AS h
CALL (h, tried) {
  UNWIND [p IN tried WHERE p >= h.p] AS p
  WITH p * size(tried) / size([other IN tried WHERE other <= p]) AS q
  RETURN min(q) AS q
}
WITH h, size(tried) AS n_tested, CASE WHEN q > 1 THEN 1.0 ELSE q END AS q
RETURN h.id AS id, h.question AS question, h.edits AS edits, h.prediction AS prediction,
       size(h.prompts) AS n_prompts, size(h.formed_on) AS n_formed_on, toString(h.registered_at) AS registered_at,
       toString(h.tested_at) AS tested_at, h.mean_effect AS mean_effect, h.null_mean AS null_mean, h.draws AS draws,
       h.p AS p, q, n_tested, q <= $level AS survived
ORDER BY h.registered_at, id
