// Which features are hubs?
// $by: frequency (share of the circuits of its set that have it), influence (summed over circuits) or degree (how many
// features it drives or is driven by). A feature is dense when more than $dense_above of the circuits have it; $dense:
// true only these, false none of them, null both. At least $min_circuits circuits must have it.
// Sample answer: total | rows
//   2163 | [{n_circuits: 53, feature: "organism-clt@247d388dcdf1/0/463", drives: 120, n_considered: 366, driven_by:
//     0, dense: false, influence: 1.62, frequency: 0.145}, {n_circuits: 53, feature:
//     "organism-clt@247d388dcdf1/0/866", drives: 212, n_considered: 366, driven_by: 0, dense: false, influence:
//     0.808, frequency: 0.145}, … 18 more]
:param by => "frequency";
:param dense => null;
:param dense_above => 0.5;
:param min_circuits => 1;
:param skip => 0;
:param limit => 20;

MATCH (t:TranscoderSet)
WITH t, COUNT { (t)<-[:BY]-() } AS n_considered,
     reduce(n = 0, each IN COLLECT { MATCH (t)-[v:COVERS]->() RETURN v.n_circuits } | n + each) AS n_covered
// Influence summed over families is there already; circuits of no family are in none of these sums.
WITH t, n_considered, n_considered = n_covered AS in_families
CALL (t, in_families) {
  WITH * WHERE $by = "frequency"
  MATCH (f:Feature)-[:IN]->(t)
  RETURN f, toFloat(f.n_circuits) AS size
UNION ALL
  WITH * WHERE $by = "degree"
  MATCH (f:Feature)-[:IN]->(t)
  RETURN f, toFloat(COUNT { (f)-[:DRIVES]->() } + COUNT { (f)<-[:DRIVES]-() }) AS size
UNION ALL
  WITH * WHERE $by = "influence" AND in_families
  MATCH (t)<-[:IN]-(f:Feature)-[i:FOUND_IN]->(:Family)
  WITH f, sum(i.influence) AS size
  RETURN f, size
UNION ALL
  WITH * WHERE $by = "influence" AND NOT in_families
  MATCH (t)<-[:IN]-(f:Feature)<-[u:USES]-(:Circuit)
  WITH f, sum(u.influence) AS size
  RETURN f, size
}
WITH f, size, n_considered, in_families, f.n_circuits AS n_circuits
WHERE n_circuits >= $min_circuits
  AND ($dense IS NULL OR $dense = (toFloat(n_circuits) / n_considered > $dense_above))
WITH collect([f, n_circuits, n_considered, in_families,
              CASE $by WHEN "frequency" THEN size / n_considered ELSE size END]) AS hubs
CALL (hubs) {
  // By size alone first: what decides between equals is only looked up for those near the page.
  UNWIND hubs AS row
  WITH row[4] AS size
  ORDER BY size DESC
  WITH collect(size) AS sizes
  RETURN coalesce(sizes[$skip + $limit - 1], last(sizes)) AS least
}
WITH size(hubs) AS total, [row IN hubs WHERE row[4] >= least] AS near
CALL (near) {
  UNWIND near AS row
  WITH row, row[0] AS f
  ORDER BY row[4] DESC, row[1] DESC, f.id
  RETURN collect(row) AS found
}
CALL (found) {
  UNWIND found[$skip .. $skip + $limit] AS row
  WITH row, row[0] AS f, toFloat(row[1]) / row[2] AS frequency
  CALL (f, row) {
    WITH * WHERE row[3]
    MATCH (f)-[i:FOUND_IN]->(:Family)
    WITH f, sum(i.influence) AS influence, sum(i.n_measured) AS n_measured
    RETURN CASE WHEN n_measured > 0 THEN influence END AS influence
  UNION ALL
    WITH * WHERE NOT row[3]
    MATCH (f)<-[u:USES]-(:Circuit)
    WITH f, sum(u.influence) AS influence, count(u.influence) AS n_measured
    RETURN CASE WHEN n_measured > 0 THEN influence END AS influence
  }
  RETURN collect({
    feature: f.id, n_circuits: row[1], n_considered: row[2], frequency: frequency, dense: frequency > $dense_above,
    influence: influence, drives: COUNT { (f)-[:DRIVES]->() }, driven_by: COUNT { (f)<-[:DRIVES]-() }
  }) AS rows
}
RETURN total, rows
