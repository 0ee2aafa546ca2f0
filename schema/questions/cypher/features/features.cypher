// Which features have this label, layer and family, and in how many circuits do they occur?
// $search: a full-text query over the labels; null means no condition.
// $layer: null means all layers.
// $families: names of families. Only circuits of these families are counted; null means all circuits.
// $transcoders: ids of transcoder sets; null means all sets.
// $min_circuits: least number of circuits that have the feature.
// $order: circuits (most circuits first), influence (highest mean influence first; n_unknown counts the features of
//   unknown influence, which come last) or layer (then index).
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: total | rows | n_unknown
//   1632 | ["organism-clt@247d388dcdf1/0/463", "organism-clt@247d388dcdf1/0/866", … 18 more] | null
:param search => null;
:param layer => null;
:param families => null;
:param transcoders => null;
:param min_circuits => 2;
:param order => "circuits";
:param skip => 0;
:param limit => 20;

CALL () {
  // With a search, start from the labels that match.
  WITH $search AS words WHERE words IS NOT NULL
  CALL db.index.fulltext.queryNodes("label_text", words) YIELD node
  MATCH (node)-[:LABELS]->(f:Feature)
  WITH DISTINCT f
  MATCH (f)<-[u:USES]-(c:Circuit)
  WHERE $families IS NULL
     OR EXISTS { (c)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(y:Family) WHERE y.name IN $families }
  RETURN f, count(u) AS n, avg(u.influence) AS influence
UNION ALL
  // Without conditions, sorted by influence.
  WITH $order AS order WHERE $search IS NULL AND $families IS NULL AND order = "influence"
  MATCH (f:Feature)
  WHERE f.n_circuits >= $min_circuits
  OPTIONAL MATCH (f)<-[u:USES]-()
  RETURN f, count(u) AS n, avg(u.influence) AS influence
UNION ALL
  // Without conditions: every load keeps the number of circuits of a feature up to date.
  WITH $order AS order WHERE $search IS NULL AND $families IS NULL AND order <> "influence"
  MATCH (f:Feature)
  WHERE f.n_circuits >= $min_circuits
  RETURN f, f.n_circuits AS n, null AS influence
UNION ALL
  // With families: every load keeps their counts up to date, too.
  WITH $families AS families WHERE $search IS NULL AND families IS NOT NULL
  MATCH (y:Family)<-[i:FOUND_IN]-(f)
  WHERE y.name IN families
  WITH f, i ORDER BY i.influence
  WITH f, sum(i.n_circuits) AS n, sum(i.n_measured) AS n_measured, sum(i.influence) AS influence
  RETURN f, n, CASE WHEN $order = "influence" AND n_measured > 0 THEN influence / n_measured END AS influence
}
WITH f, n, influence
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
