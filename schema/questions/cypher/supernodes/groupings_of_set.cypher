// In which ways are the features of these circuits grouped into supernodes?
// The rows and their order are those of groupings.cypher.
// $circuits: ids of circuits.
// Sample answer: method | authors | n_supernodes | n_circuits
//   "label-and-position-v1" | ["atlas"] | 8 | 2
:param circuits => ["f8d98257b1a3c1872ea8", "4012db4770d4d6bcd9c2"];

MATCH (c:Circuit) WHERE c.id IN $circuits
MATCH (c)-[:HAS]->(s:Supernode)
WITH s.method AS method, CASE WHEN s.method <> "person" THEN s.author END AS one_author,
     collect(DISTINCT s.author) AS authors, count(s.score) > 0 AS scored, count(DISTINCT s) AS n_supernodes,
     count(DISTINCT c) AS n_circuits
ORDER BY scored DESC, n_circuits DESC, n_supernodes DESC, method, one_author
RETURN method, COLLECT { UNWIND authors AS author RETURN author ORDER BY author } AS authors, n_supernodes, n_circuits
