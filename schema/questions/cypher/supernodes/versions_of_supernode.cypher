// Which earlier versions does a person's supernode have, and which versions did each version replace?
// The newest version comes first.
// $keys: ids of supernodes.
// Sample answer: key | id | label | author | made_at | replaced_at | members | replaces
//   "59b5d2523ea9c250e944" | "59b5d2523ea9c250e944" | "the state is texas" | "bob" | "2026-11-30T21:48:03.354261139Z"
//     | null | ["f8d98257b1a3c1872ea8/feature:0:9:1066", "f8d98257b1a3c1872ea8/feature:1:9:665"] |
//     ["469c94fa798b6b6e3c94"]
//   "59b5d2523ea9c250e944" | "469c94fa798b6b6e3c94" | "texas" | "ada" | "2026-11-30T21:48:03.083073671Z" |
//     "2026-11-30T21:48:03.329938622Z" | ["f8d98257b1a3c1872ea8/feature:0:9:1066",
//     "f8d98257b1a3c1872ea8/feature:1:9:665"] | []
:param keys => COLLECT { MATCH (s:Supernode)-[:REPLACES]->() RETURN s.id ORDER BY s.id LIMIT 1 };

UNWIND $keys AS key
MATCH (:Supernode|FormerSupernode {id: key})-[:REPLACES*0..]->(v)
WITH DISTINCT key, v
RETURN key, v.id AS id, v.label AS label, v.author AS author, toString(v.made_at) AS made_at,
       toString(v.replaced_at) AS replaced_at,
       COLLECT { MATCH (v)-[:GROUPS]->(n:Node) RETURN n.id ORDER BY n.id } AS members,
       COLLECT { MATCH (v)-[:REPLACES]->(f:FormerSupernode) RETURN f.id ORDER BY f.id } AS replaces
ORDER BY key, v.replaced_at IS NOT NULL, v.made_at DESC, id
