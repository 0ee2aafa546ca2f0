// Which features does a circuit use, free of position, the most influential first?
:param keys => ["00000000000000000000"];
:param skip => 0;
:param limit => 20;

UNWIND $keys AS key
CALL (key) {
  MATCH (:Circuit {id: key})-[u:USES]->(f:Feature)
  WITH u, f
  ORDER BY coalesce(u.influence, -1.0) DESC, f.id
  RETURN collect({circuit: key, feature: f.id, influence: u.influence, activation: u.activation,
                  positions: u.positions}) AS found
}
RETURN key, size(found) AS total, found[$skip .. $skip + $limit] AS rows
