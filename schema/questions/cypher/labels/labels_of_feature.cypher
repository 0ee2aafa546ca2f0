// Which labels did people and programs give to a feature?
// Labels of people come first, then labels with the highest score.
// $keys: ids of features.
// Sample answer: key | id | text | method | author | score | null_score | scorer
//   "organism-clt@247d388dcdf1/1/665" | "01d90e60e7519eac9bde" | "fires on a / lay / oven / colorful … (24), after
//     him / the …" | "token-rules-v2" | "atlas" | 0.872 | 0.54 | null
//   "organism-clt@247d388dcdf1/1/665" | "83f0bd08cb6771b7de10" | "say texas: fires on a 26%, is 22%, oven 16%;
//     promotes texas…" | "token-statistics-v1" | "atlas" | null | null | null
:param keys => ["organism-clt@247d388dcdf1/1/665"];

UNWIND $keys AS key
MATCH (l:Label)-[:LABELS]->(:Feature {id: key})
RETURN key, l.id AS id, l.text AS text, l.method AS method, l.author AS author, l.score AS score,
       l.null_score AS null_score, l.scorer AS scorer
ORDER BY key, CASE WHEN l.method = "person" THEN 0 ELSE 1 END, coalesce(l.score, -1.0) DESC, l.id
