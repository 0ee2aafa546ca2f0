// Which features are hubs?
// $by: frequency (share of the circuits of its set that have it), influence (summed over circuits) or degree (how many
// features it drives or is driven by). A feature is dense when more than $dense_above of the circuits have it; $dense:
// true only these, false none of them, null both. At least $min_circuits circuits must have it.
// Sample answer: total | rows
//   2012 | [{n_circuits: 61, feature: "organism-clt@552ee159aac5/0/718", drives: 274, n_considered: 366, driven_by:
//     0, dense: false, influence: 1.49, frequency: 0.167}, {n_circuits: 59, feature:
//     "organism-clt@552ee159aac5/0/208", drives: 329, n_considered: 366, driven_by: 0, dense: false, influence: 2.05,
//     frequency: 0.161}, … 18 more]
:param by => "frequency";
:param dense => null;
:param dense_above => 0.5;
:param min_circuits => 1;
:param skip => 0;
:param limit => 20;

MATCH (t:TranscoderSet)
WITH t, COUNT { (t)<-[:BY]-() } AS n_considered
MATCH (f:Feature)-[:IN]->(t)
WITH f, n_considered, COUNT { (f)<-[:USES]-() } AS n_circuits
WHERE n_circuits >= $min_circuits
WITH f, n_considered, n_circuits, toFloat(n_circuits) / n_considered AS frequency
WHERE $dense IS NULL OR $dense = (frequency > $dense_above)
CALL (f) {
  WITH f WHERE $by = "influence"
  MATCH (f)<-[u:USES]-()
  RETURN sum(u.influence) AS influence
}
WITH f, n_considered, n_circuits, frequency, influence
ORDER BY CASE $by
           WHEN "frequency" THEN -frequency
           WHEN "influence" THEN -influence
           WHEN "degree" THEN -toFloat(COUNT { (f)-[:DRIVES]->() } + COUNT { (f)<-[:DRIVES]-() })
         END, n_circuits DESC, f.id
WITH collect([f, n_circuits, n_considered, frequency]) AS found
CALL (found) {
  UNWIND found[$skip .. $skip + $limit] AS row
  WITH row, row[0] AS f
  RETURN collect({
    feature: f.id, n_circuits: row[1], n_considered: row[2], frequency: row[3], dense: row[3] > $dense_above,
    influence: CASE WHEN EXISTS { (f)<-[u:USES]-() WHERE u.influence IS NOT NULL }
      THEN reduce(sum = 0.0, each IN COLLECT { MATCH (f)<-[u:USES]-() RETURN u.influence } | sum + coalesce(each, 0.0))
    END,
    drives: COUNT { (f)-[:DRIVES]->() }, driven_by: COUNT { (f)<-[:DRIVES]-() }
  }) AS rows
}
RETURN size(found) AS total, rows
