// Which features make two circuits similar, those that say most first?
// Each key names two circuits. A feature weighs log(circuits of its set / circuits that have it), as in
// similar_circuits.cypher; features that all circuits have are left out.
// Sample answer: key | total | rows
//   ["52fae534bf544daf8271", "0f7c5439903d76471e7c"] | 19 | [{feature: "organism-clt@552ee159aac5/0/32", influence_b:
//     0.014, weight: 4.52, influence_a: 0.0187}, {feature: "organism-clt@552ee159aac5/1/786", influence_b: 0.0211,
//     weight: 4.11, influence_a: 0.0245}, … 3 more]
:param keys => [["f8d98257b1a3c1872ea8", "73b3327de94dd0b63096"]];
:param skip => 0;
:param limit => 5;

UNWIND $keys AS key
CALL (key) {
  MATCH (:Circuit {id: key[0]})-[u:USES]->(f:Feature)<-[v:USES]-(:Circuit {id: key[1]}), (f)-[:IN]->(t:TranscoderSet)
  WITH f, u, v, log(toFloat(COUNT { (t)<-[:BY]-() }) / COUNT { (f)<-[:USES]-() }) AS idf
  WHERE idf > 0
  WITH f, u, v, idf
  ORDER BY idf DESC, coalesce(u.influence * v.influence, 0.0) DESC, f.id
  RETURN collect({feature: f.id, weight: idf, influence_a: u.influence, influence_b: v.influence}) AS found
}
RETURN key, size(found) AS total, found[$skip .. $skip + $limit] AS rows
