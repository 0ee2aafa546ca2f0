// Which features do these circuits share, and how common are the same features outside?
// $inside: the circuits asked about. $outside: the circuits to compare with; null means all others.
// A feature counts when at least $min_circuits of the inside use it, and (unless $max_outside is null) at most
// $max_outside of the outside do. The denominators n_inside and n_outside are, for each feature, the circuits made with
// its transcoder set: in others it could not occur. $order: support, influence (highest mean first), lift (share inside
// over share outside, features never seen outside first) or p (smallest first; $p maps
// "support/n_inside/support_outside/n_outside" to the p-value, which Cypher has no function for).
// `tested` counts the features of the inside by these four numbers, before any of the filters; n_tested counts all
// features of the inside and the outside: how many tests a correction of the p-values has to reckon with.
// Sample answer: total | rows | tested | n_tested
//   16 | [{feature: "organism-clt@247d388dcdf1/3/1262", lift: 36.4, support_outside: 10, support: 2, n_outside: 364,
//     influence: 0.0648, n_inside: 2}, {feature: "organism-clt@247d388dcdf1/0/742", lift: 12.6, support_outside: 29,
//     support: 2, n_outside: 364, influence: 0.0618, n_inside: 2}, … 14 more] | [[2, 2, … 3 more], [2, 2, … 3 more],
//     … 22 more] | 2163
:param inside => ["f8d98257b1a3c1872ea8", "4012db4770d4d6bcd9c2"];
:param outside => null;
:param min_circuits => 2;
:param max_outside => null;
:param order => "support";
:param p => {};
:param skip => 0;
:param limit => 20;

CALL () {
  MATCH (c:Circuit)-[:BY]->(t:TranscoderSet)
  WHERE c.id IN $inside
  WITH t, count(c) AS n_inside
  RETURN collect({
    set: t,
    n_inside: n_inside,
    n_outside: CASE WHEN $outside IS NULL
      THEN COUNT { (t)<-[:BY]-() } - n_inside
      ELSE COUNT { (t)<-[:BY]-(o:Circuit) WHERE o.id IN $outside }
    END
  }) AS sets, sum(COUNT { (t)<-[:IN]-() }) AS n_features
}
CALL () {
  // Grouped before anything is joined: what a row carries is part of what it is grouped by.
  CALL () {
    MATCH (c:Circuit)-[u:USES]->(f:Feature)
    WHERE c.id IN $inside
    RETURN f, count(*) AS inside, 0 AS outside, avg(u.influence) AS influence
  UNION ALL
    MATCH (c:Circuit)-[:USES]->(f:Feature)
    WHERE c.id IN coalesce($outside, [])
    RETURN f, 0 AS inside, count(*) AS outside, null AS influence
  }
  RETURN f, sum(inside) AS support, sum(outside) AS named_outside, max(influence) AS influence
}
MATCH (f)-[:IN]->(t:TranscoderSet)
WITH n_features, f, support, influence, head([s IN sets WHERE s.set = t]) AS counts,
     CASE WHEN $outside IS NULL THEN f.n_circuits - support ELSE named_outside END AS support_outside
WHERE counts IS NOT NULL
WITH coalesce(max(n_features), 0) AS n_features, collect({
       feature: f.id, support: support, n_inside: counts.n_inside, influence: influence,
       support_outside: support_outside, n_outside: counts.n_outside,
       lift: CASE WHEN support_outside > 0
         THEN toFloat(support) * counts.n_outside / (counts.n_inside * support_outside) END
     }) AS every
CALL (every) {
  UNWIND every AS row
  WITH row
  WHERE row.support >= $min_circuits AND ($max_outside IS NULL OR row.support_outside <= $max_outside)
  WITH row
  ORDER BY CASE $order
             WHEN "support" THEN -toFloat(row.support)
             WHEN "influence" THEN -coalesce(row.influence, 0.0)
             WHEN "lift"
               THEN CASE WHEN row.n_outside = 0 THEN 1.0 WHEN row.lift IS NULL THEN -1.0e300 ELSE -row.lift END
             WHEN "p" THEN $p[row.support + "/" + row.n_inside + "/" + row.support_outside + "/" + row.n_outside]
           END, row.support DESC, coalesce(row.influence, 0.0) DESC, row.feature
  RETURN collect(row) AS found
}
CALL (every) {
  UNWIND every AS row
  WITH row.support AS support, row.n_inside AS n_inside, row.support_outside AS support_outside,
       row.n_outside AS n_outside, count(*) AS n_features
  WHERE support > 0
  RETURN collect([support, n_inside, support_outside, n_outside, n_features]) AS tested
}
RETURN size(found) AS total, found[$skip .. $skip + $limit] AS rows, tested,
       CASE WHEN $outside IS NULL THEN n_features ELSE size(every) END AS n_tested
