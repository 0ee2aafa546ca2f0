// Which circuits consist of the same features as this circuit?
// A feature weighs log(circuits of its transcoder set / circuits that have it), so that features that occur
// everywhere weigh little. The question compares the $candidates circuits that share the most weight with this
// circuit in its rarest features.
// The cosine is null unless every influence in both circuits is known; n_unknown counts these circuits, which come last.
// $circuit: id of the circuit.
// $metric: jaccard (weight of the features in both circuits / weight of the features in either), overlap (weight of
//   the features in both circuits / weight of the features of this circuit) or cosine (of the vectors influence x
//   weight; features of unknown influence do not count).
// $among: ids of circuits to choose from; null means all circuits.
// $candidates: greatest number of circuits to compare.
// $budget: the rarest features are taken while the circuits to choose from use them at most this many times in all;
//   at least one feature is taken.
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: total | rows | n_unknown
//   106 | [{circuit: "73b3327de94dd0b63096", similarity: 0.762, n_common: 20}, {circuit: "583d85d501bdd53e6f0e",
//     similarity: 0.415, n_common: 13}, … 18 more] | null
:param circuit => "f8d98257b1a3c1872ea8";
:param metric => "jaccard";
:param among => null;
:param candidates => 200;
:param budget => 10000;
:param skip => 0;
:param limit => 20;

MATCH (a:Circuit {id: $circuit})-[:BY]->(t:TranscoderSet)
WITH a, toFloat(COUNT { (t)<-[:BY]-() }) AS n
CALL (a, n) {
  MATCH (a)-[u:USES]->(f:Feature)
  WITH f, u.influence AS influence, f.n_circuits AS n_circuits
  ORDER BY n_circuits, f.id
  WITH f, influence, n_circuits, log(n / n_circuits) AS idf
  RETURN collect({feature: f, influence: influence, idf: idf, n_circuits: n_circuits}) AS mine,
         collect(CASE WHEN idf > 0 THEN f END) AS known, sum(idf) AS all_a, sqrt(sum((influence * idf) ^ 2)) AS norm_a,
         count(*) = count(influence) AS sure_a
}
CALL (a, mine) {
  // Take features from the rarest on, within the budget. Common features would add every circuit and weigh little.
  WITH a, mine, reduce(state = [0, 0], use IN mine |
    CASE WHEN state[0] < $budget THEN
      [state[0] + CASE WHEN size($among) < use.n_circuits THEN size($among) ELSE use.n_circuits END, state[1] + 1]
    ELSE state END)[1] AS n_rare
  UNWIND mine[..n_rare] AS use
  WITH a, use.feature AS f, use.idf AS idf
  WHERE idf > 0
  MATCH (f)<-[:USES]-(b)
  WITH a, b, sum(idf) AS rare
  WHERE b <> a AND ($among IS NULL OR b.id IN $among)
  WITH b, rare
  ORDER BY rare DESC, b.id
  LIMIT $candidates
  RETURN collect(b) AS candidates
}
CALL (a, n, known, all_a, norm_a, sure_a, candidates) {
  UNWIND candidates AS b
  CALL (b, n, known) {
    MATCH (b)-[:USES]->(g)
    WITH log(n / g.n_circuits) AS idf, g IN known AS shared
    RETURN sum(idf) AS all_b, sum(CASE WHEN shared THEN idf END) AS common, count(CASE WHEN shared THEN 1 END) AS n_common
  }
  CALL (a, b, n) {
    UNWIND CASE $metric WHEN "cosine" THEN [1] ELSE [] END AS asked
    MATCH (b)-[w:USES]->(g)
    WITH w.influence AS influence, log(n / g.n_circuits) AS idf, head([(a)-[u:USES]->(g) | u.influence]) AS mine
    RETURN sum(mine * influence * idf ^ 2) AS product, sqrt(sum((influence * idf) ^ 2)) AS norm_b,
           count(*) = count(influence) AS sure_b
  }
  WITH b, n_common, CASE $metric
    WHEN "jaccard" THEN common / (all_a + all_b - common)
    WHEN "overlap" THEN common / all_a
    WHEN "cosine" THEN CASE
      WHEN sure_a AND sure_b THEN CASE WHEN norm_a * norm_b > 0 THEN product / (norm_a * norm_b) ELSE 0.0 END
    END
  END AS similarity
  ORDER BY coalesce(similarity, -1.0) DESC, b.id
  RETURN collect({circuit: b.id, similarity: similarity, n_common: n_common}) AS found
}
RETURN size(found) AS total, found[$skip .. $skip + $limit] AS rows,
       CASE $metric WHEN "cosine" THEN size([row IN found WHERE row.similarity IS NULL]) END AS n_unknown
