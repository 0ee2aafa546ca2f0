// Which supernodes does a circuit have?
:param keys => ["00000000000000000000"];
:param skip => 0;
:param limit => 20;

UNWIND $keys AS key
CALL (key) {
  MATCH (:Circuit {id: key})-[:HAS]->(s:Supernode)
  WITH s
  ORDER BY coalesce(s.position, -1), s.label, s.id
  RETURN collect(s.id) AS found
}
RETURN key, size(found) AS total, found[$skip .. $skip + $limit] AS rows
