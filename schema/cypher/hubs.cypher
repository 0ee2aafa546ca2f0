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
WITH t, COUNT { (t)<-[:BY]-() } AS n_considered
MATCH (f:Feature)-[:IN]->(t)
WHERE f.n_circuits >= $min_circuits
  AND ($dense IS NULL OR $dense = (toFloat(f.n_circuits) / n_considered > $dense_above))
WITH collect([f, n_considered, CASE $by
                WHEN "frequency" THEN toFloat(f.n_circuits) / n_considered
                WHEN "degree" THEN toFloat(f.n_drives + f.n_driven)
                WHEN "influence" THEN f.influence
              END]) AS hubs
CALL (hubs) {
  // By size alone first: what decides between equals is only looked up for those near the page.
  UNWIND hubs AS row
  WITH row[2] AS size
  ORDER BY size DESC
  WITH collect(size) AS sizes
  RETURN coalesce(sizes[$skip + $limit - 1], last(sizes)) AS least
}
WITH size(hubs) AS total, [row IN hubs WHERE row[2] >= least] AS near
CALL (near) {
  UNWIND near AS row
  WITH row[0] AS f, row[1] AS n_considered, row[2] AS size
  ORDER BY size DESC, f.n_circuits DESC, f.id
  RETURN collect([f, n_considered]) AS found
}
CALL (found) {
  UNWIND found[$skip .. $skip + $limit] AS row
  WITH row[0] AS f, row[1] AS n_considered, toFloat(row[0].n_circuits) / row[1] AS frequency
  RETURN collect({feature: f.id, n_circuits: f.n_circuits, n_considered: n_considered, frequency: frequency,
                  dense: frequency > $dense_above, influence: CASE WHEN f.n_measured > 0 THEN f.influence END,
                  drives: f.n_drives, driven_by: f.n_driven}) AS rows
}
RETURN total, rows
