// Which features do these circuits share, and how common are the same features outside?
// $inside: the circuits asked about. $outside: the circuits to compare with; null means all others.
// A feature counts when at least $min_circuits of the inside use it, and (unless $max_outside is null) at most
// $max_outside of the outside do. The denominators n_inside and n_outside are, for each feature, the circuits made with
// its transcoder set: in others it could not occur. $order: support, influence (highest mean first) or lift (share inside
// over share outside, features never seen outside first).
:param inside => ["00000000000000000000", "00000000000000000001"];
:param outside => null;
:param min_circuits => 2;
:param max_outside => null;
:param order => "support";
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
      THEN COUNT { (t)<-[:BY]-(:Circuit) } - n_inside
      ELSE COUNT { (t)<-[:BY]-(o:Circuit) WHERE o.id IN $outside }
    END
  }) AS sets
}
CALL () {
  MATCH (c:Circuit)-[u:USES]->(f:Feature)
  WHERE c.id IN $inside
  RETURN f, 1 AS inside, 0 AS outside, u.influence AS influence
UNION ALL
  MATCH (c:Circuit)-[:USES]->(f:Feature)
  WHERE c.id IN coalesce($outside, [])
  RETURN f, 0 AS inside, 1 AS outside, null AS influence
}
WITH sets, f, sum(inside) AS support, sum(outside) AS named_outside, avg(influence) AS influence
WHERE support >= $min_circuits
WITH sets, f, support, influence,
     CASE WHEN $outside IS NULL THEN COUNT { (f)<-[:USES]-(:Circuit) } - support ELSE named_outside END AS support_outside
WHERE $max_outside IS NULL OR support_outside <= $max_outside
MATCH (f)-[:IN]->(t:TranscoderSet)
WITH f, support, support_outside, influence, head([s IN sets WHERE s.set = t]) AS counts
WITH f, support, support_outside, influence, counts.n_inside AS n_inside, counts.n_outside AS n_outside
WITH *, CASE WHEN support_outside > 0 THEN toFloat(support) * n_outside / (n_inside * support_outside) END AS lift
ORDER BY CASE $order
           WHEN "support" THEN -toFloat(support)
           WHEN "influence" THEN -coalesce(influence, 0.0)
           WHEN "lift" THEN CASE WHEN n_outside = 0 THEN 1.0 WHEN lift IS NULL THEN -1.0e300 ELSE -lift END
         END, support DESC, coalesce(influence, 0.0) DESC, f.id
WITH collect({feature: f.id, support: support, n_inside: n_inside, influence: influence,
              support_outside: support_outside, n_outside: n_outside, lift: lift}) AS found
RETURN size(found) AS total, found[$skip .. $skip + $limit] AS rows
