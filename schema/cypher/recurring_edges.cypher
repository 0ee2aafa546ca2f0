// Which features does a feature drive ($direction "out"), or is it driven by ($direction "in"), in how many circuits?
// `both` counts the circuits in which both features take part: the denominator of n_circuits.
:param keys => ["some-transcoders@000000000000/0/1"];
:param direction => "out";
:param min_circuits => 1;
:param skip => 0;
:param limit => 20;

UNWIND $keys AS key
CALL (key) {
  MATCH (f:Feature {id: key})-[d:DRIVES]-(g:Feature)
  WHERE ($direction = "out") = (startNode(d) = f) AND d.n_circuits >= $min_circuits
  WITH d, g
  ORDER BY d.n_circuits DESC, abs(d.mean) DESC, g.id
  RETURN collect([d, g]) AS found
}
CALL (found) {
  UNWIND found[$skip .. $skip + $limit] AS pair
  WITH pair[0] AS d, pair[1] AS g, startNode(pair[0]) AS source, endNode(pair[0]) AS target
  RETURN collect({
    feature: g.id, n_circuits: d.n_circuits, mean: d.mean, sd: d.sd, sign_consistency: d.sign_consistency,
    both: COUNT { (source)<-[:USES]-(:Circuit)-[:USES]->(target) }
  }) AS rows
}
RETURN key, size(found) AS total, rows
