// In which ways are features grouped into supernodes whose labels have these words, over all circuits?
// One row for each method and author; people change each other's supernodes, so all of theirs are one row. The best comes
// first: those that their method gave scores, then those that most circuits have. $words: as in supernodes.cypher.
// n_supernodes and n_circuits count what has the words.
// Sample answer: method | authors | n_supernodes | n_circuits
//   "label-and-position-v1" | ["atlas"] | 1711 | 364
:param words => [];
:param families => null;

MATCH (k:Concept)
WHERE all(word IN $words WHERE toLower(k.label) =~ "(?sU).*\\b" + word + ".*")
MATCH (k)<-[:MEANS]-(s:Supernode)<-[:HAS]-(c:Circuit)
WHERE $families IS NULL
   OR EXISTS { (c)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(f:Family) WHERE f.name IN $families }
WITH s.method AS method, CASE WHEN s.method <> "person" THEN s.author END AS one_author,
     collect(DISTINCT s.author) AS authors, count(s.score) > 0 AS scored, count(DISTINCT s) AS n_supernodes,
     count(DISTINCT c) AS n_circuits
ORDER BY scored DESC, n_circuits DESC, n_supernodes DESC, method, one_author
RETURN method, COLLECT { UNWIND authors AS author RETURN author ORDER BY author } AS authors, n_supernodes, n_circuits
