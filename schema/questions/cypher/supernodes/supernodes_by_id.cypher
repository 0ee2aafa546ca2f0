// What are the properties of these supernodes, and which nodes do they group?
// `influence` is the sum of the members' influences; null when one of them is unknown.
// $keys: ids of supernodes.
// Sample answer: key | circuit | label | position | method | author | score | members | influence
//   "f9627cfdcb622b02dfe0" | "f8d98257b1a3c1872ea8" | "say texas" | 9 | "label-and-position-v1" | "atlas" | null |
//     ["f8d98257b1a3c1872ea8/feature:0:9:1066", "f8d98257b1a3c1872ea8/feature:1:9:665"] | 0.128
:param keys => ["f9627cfdcb622b02dfe0"];

UNWIND $keys AS key
MATCH (c:Circuit)-[:HAS]->(s:Supernode {id: key})
CALL (s) {
  MATCH (s)-[:GROUPS]->(n:Node)
  WITH n ORDER BY coalesce(n.influence, -1.0) DESC, n.id
  RETURN collect(n.id) AS members, CASE WHEN count(n.influence) > 0 AND count(n.influence) = count(n) THEN sum(n.influence) END AS influence
}
RETURN key, c.id AS circuit, s.label AS label, s.position AS position, s.method AS method, s.author AS author,
       s.score AS score, members, influence
