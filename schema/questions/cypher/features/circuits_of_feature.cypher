// In which circuits does a feature occur?
// Circuits where the feature has the most influence come first. n_unknown counts the circuits where its influence is
// unknown, which come last.
// $keys: ids of features.
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: key | total | rows | n_unknown
//   "organism-clt@247d388dcdf1/1/665" | 6 | [{circuit: "933408547af809ba96a3", feature:
//     "organism-clt@247d388dcdf1/1/665", positions: [9], activation: 2.8, influence: 0.0388}, {circuit:
//     "73b3327de94dd0b63096", feature: "organism-clt@247d388dcdf1/1/665", positions: [9], activation: 2.8, influence:
//     0.0338}, … 4 more] | 0
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
RETURN key, COUNT { (f)<-[:USES]-() } AS total, rows, f.n_circuits - f.n_measured AS n_unknown
