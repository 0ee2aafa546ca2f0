// What is known of these supernodes, and which nodes do they group?
// `influence` is the sum of the members' influences.
:param keys => ["00000000000000000000"];

UNWIND $keys AS key
MATCH (c:Circuit)-[:HAS]->(s:Supernode {id: key})
CALL (s) {
  MATCH (s)-[:GROUPS]->(n:FeatureNode)
  WITH n ORDER BY coalesce(n.influence, -1.0) DESC, n.id
  RETURN collect(n.id) AS members, sum(n.influence) AS influence
}
RETURN key, c.id AS circuit, s.label AS label, s.position AS position, s.method AS method, s.author AS author,
       s.score AS score, members, influence
