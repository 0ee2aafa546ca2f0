// Which circuits are made of the same features as this one?
// A feature weighs log(circuits of its set / circuits that have it): what is everywhere says nothing, so hubs weigh
// little. $metric: jaccard (weight of the features that both have over that of the features that one of them has),
// overlap (over that of the features of this circuit) or cosine (of the vectors influence x weight; features of
// unknown influence do not count). Looked at are the $candidates circuits that share most weight with this one.
// $among restricts the answer to these circuits.
:param circuit => "00000000000000000000";
:param metric => "jaccard";
:param among => null;
:param candidates => 500;
:param skip => 0;
:param limit => 20;

MATCH (a:Circuit {id: $circuit})-[:BY]->(t:TranscoderSet)
WITH a, toFloat(COUNT { (t)<-[:BY]-() }) AS n
CALL (a, n) {
  MATCH (a)-[u:USES]->(f:Feature)
  WITH f, u.influence AS influence, log(n / COUNT { (f)<-[:USES]-() }) AS idf
  RETURN collect({feature: f, influence: influence, idf: idf}) AS mine, sum(idf) AS all_a,
         sqrt(sum((influence * idf) ^ 2)) AS norm_a
}
CALL (a, n, mine, all_a, norm_a) {
  UNWIND mine AS use
  WITH use.feature AS f, use.idf AS idf, use.influence AS influence
  WHERE idf > 0
  MATCH (f)<-[v:USES]-(b:Circuit)
  WHERE b <> a AND ($among IS NULL OR b.id IN $among)
  WITH b, sum(idf) AS common, count(*) AS n_common, sum(influence * v.influence * idf ^ 2) AS product
  ORDER BY common DESC, b.id
  LIMIT $candidates
  CALL (b, n) {
    MATCH (b)-[w:USES]->(g:Feature)
    WITH w.influence AS influence, log(n / COUNT { (g)<-[:USES]-() }) AS idf
    RETURN sum(idf) AS all_b, sqrt(sum((influence * idf) ^ 2)) AS norm_b
  }
  WITH b, n_common, CASE $metric
    WHEN "jaccard" THEN common / (all_a + all_b - common)
    WHEN "overlap" THEN common / all_a
    WHEN "cosine" THEN CASE WHEN norm_a * norm_b > 0 THEN product / (norm_a * norm_b) ELSE 0.0 END
  END AS similarity
  ORDER BY similarity DESC, b.id
  RETURN collect({circuit: b.id, similarity: similarity, n_common: n_common}) AS found
}
RETURN size(found) AS total, found[$skip .. $skip + $limit] AS rows
