// Which features make two circuits similar?
// The features that contribute most come first. A feature weighs log(circuits of its transcoder set / circuits that
// have it), as in similar_circuits.cypher. Features that all circuits have are left out.
// n_unknown counts the features whose influence is unknown in one of the circuits.
// $keys: pairs of ids of circuits.
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: key | total | rows | n_unknown
//   ["f8d98257b1a3c1872ea8", "4012db4770d4d6bcd9c2"] | 16 | [{feature: "organism-clt@247d388dcdf1/5/1235",
//     influence_b: 0.0141, weight: 4.8, influence_a: 0.0317}, {feature: "organism-clt@247d388dcdf1/3/1244",
//     influence_b: 0.0281, weight: 4.11, influence_a: 0.0687}, … 3 more] | 0
:param keys => [["f8d98257b1a3c1872ea8", "4012db4770d4d6bcd9c2"]];
:param skip => 0;
:param limit => 5;

UNWIND $keys AS key
CALL (key) {
  MATCH (:Circuit {id: key[0]})-[u:USES]->(f:Feature)<-[v:USES]-(:Circuit {id: key[1]}), (f)-[:IN]->(t:TranscoderSet)
  WITH f, u, v, log(toFloat(COUNT { (t)<-[:BY]-() }) / COUNT { (f)<-[:USES]-() }) AS idf
  WHERE idf > 0
  WITH f, u, v, idf
  ORDER BY idf DESC, coalesce(u.influence * v.influence, -1.0) DESC, f.id
  RETURN collect({feature: f.id, weight: idf, influence_a: u.influence, influence_b: v.influence}) AS found
}
RETURN key, size(found) AS total, found[$skip .. $skip + $limit] AS rows,
       size([row IN found WHERE row.influence_a IS NULL OR row.influence_b IS NULL]) AS n_unknown
