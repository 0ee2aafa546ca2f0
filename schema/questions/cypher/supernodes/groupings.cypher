// In which ways are features grouped into supernodes whose labels contain these words, over all circuits?
// One row for each method and author. People may change each other's supernodes, so the supernodes of all people are
// one row. Groupings whose method gives scores come first, then those that the most circuits have. n_supernodes and
// n_circuits count only supernodes whose label contains the words.
// $words: lower-case words, as in supernodes.cypher; an empty list means all labels.
// $families: names of families; null means all families.
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
