// Which features make two circuits similar, those that say most first?
// Each key names two circuits. A feature weighs log(circuits of its set / circuits that have it), as in
// similar_circuits.cypher; features that all circuits have are left out.
:param keys => [["00000000000000000000", "00000000000000000001"]];
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
