// What do people and programs say that a feature is? A person's word first, then by score.
:param keys => ["some-transcoders@000000000000/0/1"];

UNWIND $keys AS key
MATCH (l:Label)-[:LABELS]->(:Feature {id: key})
RETURN key, l.id AS id, l.text AS text, l.method AS method, l.author AS author, l.score AS score,
       l.null_score AS null_score
ORDER BY key, CASE WHEN l.method = "person" THEN 0 ELSE 1 END, coalesce(l.score, -1.0) DESC, l.id
