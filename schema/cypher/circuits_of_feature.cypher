// In which circuits does a feature take part, the most influential first?
:param keys => ["some-transcoders@000000000000/0/1"];
:param skip => 0;
:param limit => 20;

UNWIND $keys AS key
CALL (key) {
  MATCH (c:Circuit)-[u:USES]->(:Feature {id: key})
  WITH c, u
  ORDER BY coalesce(u.influence, -1.0) DESC, c.id
  RETURN collect({circuit: c.id, feature: key, influence: u.influence, activation: u.activation,
                  positions: u.positions}) AS found
}
RETURN key, size(found) AS total, found[$skip .. $skip + $limit] AS rows
