// What was a person's supernode before, and which versions was it made from? The newest first.
// Sample answer: key | id | label | author | made_at | replaced_at | members | replaces
//   "fc9514ad21863d957115" | "fc9514ad21863d957115" | "the state is texas" | "bob" | "2026-11-26T12:10:43.41277011Z"
//     | null | ["52fae534bf544daf8271/feature:0:9:1066", "52fae534bf544daf8271/feature:0:9:1217", … 1 more] |
//     ["01fa20902b828eb3c688"]
//   "fc9514ad21863d957115" | "01fa20902b828eb3c688" | "texas" | "ada" | "2026-11-26T12:10:43.101488826Z" |
//     "2026-11-26T12:10:43.39894668Z" | ["52fae534bf544daf8271/feature:0:9:1066",
//     "52fae534bf544daf8271/feature:0:9:1217", … 1 more] | []
:param keys => COLLECT { MATCH (s:Supernode)-[:REPLACES]->() RETURN s.id ORDER BY s.id LIMIT 1 };

UNWIND $keys AS key
MATCH (:Supernode|FormerSupernode {id: key})-[:REPLACES*0..]->(v)
WITH DISTINCT key, v
RETURN key, v.id AS id, v.label AS label, v.author AS author, toString(v.made_at) AS made_at,
       toString(v.replaced_at) AS replaced_at,
       COLLECT { MATCH (v)-[:GROUPS]->(n:Node) RETURN n.id ORDER BY n.id } AS members,
       COLLECT { MATCH (v)-[:REPLACES]->(f:FormerSupernode) RETURN f.id ORDER BY f.id } AS replaces
ORDER BY key, v.replaced_at IS NOT NULL, v.made_at DESC, id
