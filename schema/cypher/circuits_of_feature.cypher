// In which circuits does a feature take part, the most influential first?
// Sample answer: key | total | rows
//   "organism-clt@552ee159aac5/0/1066" | 11 | [{circuit: "52fae534bf544daf8271", feature:
//     "organism-clt@552ee159aac5/0/1066", positions: [9], activation: 3.21, influence: 0.12}, {circuit:
//     "8e0a2cde1f7dea1c9d1c", feature: "organism-clt@552ee159aac5/0/1066", positions: [9], activation: 3.19,
//     influence: 0.111}, … 9 more]
:param keys => ["organism-clt@247d388dcdf1/1/665"];
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
