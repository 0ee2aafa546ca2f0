// How are a circuit's features grouped into supernodes, and what share of its influence does each grouping hold?
// One row for each method and author. People may change each other's supernodes, so the supernodes of all people are
// one row. Groupings whose method gives scores come first, then those whose members hold the largest share (0 to 1)
// of the influence of the circuit's feature nodes. A node in two supernodes of a row counts once.
// $keys: ids of circuits.
// Sample answer: key | method | authors | n_supernodes | n_members | share
//   "f8d98257b1a3c1872ea8" | "label-and-position-v1" | ["atlas"] | 4 | 13 | 0.557
:param keys => ["f8d98257b1a3c1872ea8"];

UNWIND $keys AS key
MATCH (c:Circuit {id: key})
CALL (c) {
  MATCH (c)-[:HAS]->(n:FeatureNode)
  RETURN sum(n.influence) AS total
}
MATCH (c)-[:HAS]->(s:Supernode)
WITH key, total, s, CASE WHEN s.method <> "person" THEN s.author END AS one_author
ORDER BY s.author
OPTIONAL MATCH (s)-[:GROUPS]->(n:FeatureNode)
WITH key, total, s.method AS method, one_author, collect(DISTINCT s.author) AS authors, count(s.score) > 0 AS scored,
     count(DISTINCT s) AS n_supernodes, collect(DISTINCT n) AS members
WITH *, reduce(sum = 0.0, n IN members | sum + coalesce(n.influence, 0.0)) AS held
// Rounded, so that sums which differ only by the order of adding tie, and none passes 1.
WITH *, CASE WHEN total > 0 THEN round(held / total, 12) END AS share
ORDER BY key, scored DESC, coalesce(share, -1.0) DESC, method, one_author
RETURN key, method, authors, n_supernodes, size(members) AS n_members, share
