// Which hypotheses were registered, and what did their tests find?
// The Benjamini-Hochberg q-values, and the hypotheses that survive, are computed from the p-values of all rows
// (schema.evidence.false_discovery).
// Sample answer: id | question | edits | prediction | n_prompts | n_formed_on | registered_at | tested_at | mean_effect | null_mean | draws | p
//   "c2b42b23763dd50b71bd" | "does what says a capital's first letters also say the capit…" | ["ablate 3/330@all"] |
//     "lowers" | 12 | 18 | "2026-11-30T21:43:38.877Z" | "2026-11-30T21:44:39.436Z" | -0.408 | -0.333 | 199 | 0.275

MATCH (h:Hypothesis)
RETURN h.id AS id, h.question AS question, h.edits AS edits, h.prediction AS prediction,
       size(h.prompts) AS n_prompts, size(h.formed_on) AS n_formed_on, toString(h.registered_at) AS registered_at,
       toString(h.tested_at) AS tested_at, h.mean_effect AS mean_effect, h.null_mean AS null_mean, h.draws AS draws,
       h.p AS p
ORDER BY h.registered_at, id
