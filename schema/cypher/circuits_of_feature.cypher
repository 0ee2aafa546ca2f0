// In which circuits does a feature take part, the most influential first?
:param keys => ["some-transcoders@000000000000/0/1"];
:param skip => 0;
:param limit => 20;

UNWIND $keys AS key
MATCH (f:Feature {id: key})
CALL (f, key) {
  MATCH (c:Circuit)-[u:USES]->(f)
  WITH c, u
  ORDER BY coalesce(u.influence, -1.0) DESC, c.id
  SKIP $skip LIMIT $limit
  RETURN collect({circuit: c.id, feature: key, influence: u.influence, activation: u.activation,
                  positions: u.positions}) AS rows
}
RETURN key, COUNT { (f)<-[:USES]-() } AS total, rows
