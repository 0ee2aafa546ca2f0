// What was a person's supernode before, and which versions was it made from? The newest first.
:param keys => ["00000000000000000000"];

UNWIND $keys AS key
MATCH (:Supernode|FormerSupernode {id: key})-[:REPLACES*0..]->(v)
WITH DISTINCT key, v
RETURN key, v.id AS id, v.label AS label, v.author AS author, toString(v.made_at) AS made_at,
       toString(v.replaced_at) AS replaced_at,
       COLLECT { MATCH (v)-[:GROUPS]->(n:Node) RETURN n.id ORDER BY n.id } AS members,
       COLLECT { MATCH (v)-[:REPLACES]->(f:FormerSupernode) RETURN f.id ORDER BY f.id } AS replaces
ORDER BY key, v.replaced_at IS NOT NULL, v.made_at DESC, id
