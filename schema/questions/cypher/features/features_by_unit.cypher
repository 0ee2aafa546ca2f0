// Which features have this label, layer and family, when several circuits count as one?
// features.cypher counts circuits. Here a unit of circuits, such as those of one prompt, counts once: it has a feature
// if one of its circuits has it, and its influence is the mean over those of its circuits where it is known.
// $search: a full-text query over the labels; null means no condition.
// $layer: null means all layers.
// $families: names of families. Only circuits of these families are counted; null means all circuits.
// $transcoders: ids of transcoder sets; null means all sets.
// $min_circuits: least number of units that have the feature.
// $units: for each circuit that counts and shares its unit with others, the unit; null counts circuits.
// $order: circuits (most units first), influence (highest mean influence first; n_unknown counts the features of
//   unknown influence, which come last) or layer (then index).
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: total | rows | n_unknown
//   1632 | ["organism-clt@247d388dcdf1/0/463", "organism-clt@247d388dcdf1/0/866", … 18 more] | null
:param search => null;
:param layer => null;
:param families => null;
:param transcoders => null;
:param min_circuits => 2;
:param units => null;
:param order => "circuits";
:param skip => 0;
:param limit => 20;

CALL () {
  // Every load keeps these sums up to date, for all circuits and for each family.
  WITH * WHERE $search IS NULL AND $families IS NULL
  MATCH (f:Feature)
  WHERE f.n_circuits >= $min_circuits
  RETURN f, f.n_circuits AS n, f.n_measured AS n_measured, f.influence AS influence
UNION ALL
  WITH $families AS families WHERE $search IS NULL AND families IS NOT NULL
  MATCH (y:Family)<-[i:FOUND_IN]-(f)
  WHERE y.name IN families
  WITH f, i ORDER BY i.influence
  RETURN f, sum(i.n_circuits) AS n, sum(i.n_measured) AS n_measured, sum(i.influence) AS influence
UNION ALL
  WITH $search AS words WHERE words IS NOT NULL
  CALL db.index.fulltext.queryNodes("label_text", words) YIELD node
  MATCH (node)-[:LABELS]->(f:Feature)
  WITH DISTINCT f
  CALL (f) {
    WITH f WHERE $families IS NULL
    RETURN f.n_circuits AS n, f.n_measured AS n_measured, f.influence AS influence
  UNION ALL
    WITH f WHERE $families IS NOT NULL
    MATCH (f)-[i:FOUND_IN]->(y:Family)
    WHERE y.name IN $families
    WITH f, i ORDER BY i.influence
    WITH f, sum(i.n_circuits) AS n, sum(i.n_measured) AS n_measured, sum(i.influence) AS influence
    RETURN n, n_measured, influence
  }
  RETURN f, n, n_measured, influence
UNION ALL
  // The sums count each circuit: of each unit, leave one.
  UNWIND keys($units) AS id
  MATCH (c:Circuit {id: id})
  WITH $units[id] AS unit, c ORDER BY unit, id
  WITH unit, collect(c) AS circuits
  ORDER BY unit
  CALL (circuits) {
    UNWIND circuits AS c
    MATCH (c)-[u:USES]->(f:Feature)
    WHERE f.n_circuits >= $min_circuits
    RETURN f, count(*) AS n, count(u.influence) AS n_measured, sum(u.influence) AS influence
  }
  RETURN f, sum(1 - n) AS n, sum(CASE WHEN n_measured > 0 THEN 1 - n_measured ELSE 0 END) AS n_measured,
         sum(CASE WHEN n_measured > 0 THEN influence / n_measured - influence ELSE 0.0 END) AS influence
}
WITH f, sum(n) AS n, sum(n_measured) AS n_measured, sum(influence) AS influence
WITH f, n, CASE WHEN n_measured > 0 THEN influence / n_measured END AS influence
WHERE n >= $min_circuits AND ($layer IS NULL OR f.layer = $layer)
  AND ($transcoders IS NULL OR EXISTS { (f)-[:IN]->(t:TranscoderSet) WHERE t.id IN $transcoders })
WITH f, $order = "influence" AND influence IS NULL AS unknown, CASE $order
    WHEN "circuits" THEN -n
    WHEN "influence" THEN -coalesce(influence, -1.0)
    ELSE [f.layer, f.index]
  END AS rank
ORDER BY rank, f.id
WITH collect(f) AS found, count(CASE WHEN unknown THEN 1 END) AS n_unknown
RETURN size(found) AS total, [f IN found[$skip .. $skip + $limit] | f.id] AS rows,
       CASE $order WHEN "influence" THEN n_unknown END AS n_unknown
