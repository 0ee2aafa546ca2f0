// Which features does a circuit use, free of position, the most influential first?
// Sample answer: key | total | rows
//   "52fae534bf544daf8271" | 22 | [{circuit: "52fae534bf544daf8271", feature: "organism-clt@552ee159aac5/1/707",
//     positions: [9], activation: 4.44, influence: 0.137}, {circuit: "52fae534bf544daf8271", feature:
//     "organism-clt@552ee159aac5/0/1066", positions: [9], activation: 3.21, influence: 0.12}, … 18 more]
:param keys => ["f8d98257b1a3c1872ea8"];
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
