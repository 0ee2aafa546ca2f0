// Which direct effects between features do two similar circuits share?
// The effects that contribute most come first. An effect weighs log(circuits of the transcoder set / circuits that
// have the effect) times the smaller of its two |weights|, each summed over positions. Effects with opposite signs
// are left out.
// $keys: pairs of ids of circuits.
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: key | total | rows
//   ["f8d98257b1a3c1872ea8", "4012db4770d4d6bcd9c2"] | 47 | [{weight_a: 1.11, weight_b: 0.871, weight: 3.58, source:
//     "organism-clt@247d388dcdf1/0/742", target: "organism-clt@247d388dcdf1/3/1244"}, {weight_a: 0.972, weight_b:
//     0.706, weight: 3.39, source: "organism-clt@247d388dcdf1/3/1262", target: "organism-clt@247d388dcdf1/5/1235"}, …
//     3 more]
:param keys => [["f8d98257b1a3c1872ea8", "4012db4770d4d6bcd9c2"]];
:param skip => 0;
:param limit => 5;

UNWIND $keys AS key
CALL (key) {
  CALL (key) {
    UNWIND [true, false] AS first
    MATCH (:Circuit {id: CASE WHEN first THEN key[0] ELSE key[1] END})-[:HAS]->(n:FeatureNode)
          -[e:ATTRIBUTES]->(m:FeatureNode)
    MATCH (n)-[:INSTANCE_OF]->(f:Feature)
    MATCH (m)-[:INSTANCE_OF]->(g:Feature)
    WITH first, f, g, sum(e.weight) AS weight
    WITH f, g, head(collect(CASE WHEN first THEN weight END)) AS weight_a,
         head(collect(CASE WHEN NOT first THEN weight END)) AS weight_b
    WHERE weight_a * weight_b > 0
    RETURN f, g, weight_a, weight_b
  }
  MATCH (f)-[d:DRIVES]->(g), (f)-[:IN]->(t:TranscoderSet)
  WITH f, g, weight_a, weight_b, log(toFloat(COUNT { (t)<-[:BY]-() }) / d.n_circuits) AS idf
  WITH f, g, weight_a, weight_b,
       idf * CASE WHEN abs(weight_a) < abs(weight_b) THEN abs(weight_a) ELSE abs(weight_b) END AS weight
  ORDER BY weight DESC, f.id, g.id
  RETURN collect({source: f.id, target: g.id, weight: weight, weight_a: weight_a, weight_b: weight_b}) AS found
}
RETURN key, size(found) AS total, found[$skip .. $skip + $limit] AS rows
