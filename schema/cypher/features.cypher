// Which features are there, by label, layer and family, and in how many circuits do they take part?
// $search is a full-text query over the labels. With $family, only circuits of that family are counted.
// $order: circuits (most first), influence (highest mean first) or layer (then by index).
:param search => null;
:param layer => null;
:param family => null;
:param min_circuits => 2;
:param order => "circuits";
:param skip => 0;
:param limit => 20;

CALL () {
  WITH $search AS words WHERE words IS NOT NULL
  CALL db.index.fulltext.queryNodes("label_text", words) YIELD node
  MATCH (node)-[:LABELS]->(f:Feature)
  RETURN DISTINCT f
UNION ALL
  WITH $search AS words WHERE words IS NULL
  MATCH (f:Feature)
  RETURN f
}
WITH f WHERE $layer IS NULL OR f.layer = $layer
MATCH (f)<-[u:USES]-(c:Circuit)
WHERE $family IS NULL OR EXISTS { (c)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(:Family {name: $family}) }
WITH f, count(u) AS n, avg(u.influence) AS influence
WHERE n >= $min_circuits
WITH f, n, influence
ORDER BY CASE $order WHEN "circuits" THEN -n WHEN "influence" THEN -coalesce(influence, 0.0) END,
         CASE $order WHEN "layer" THEN f.layer END, CASE $order WHEN "layer" THEN f.index END, f.id
WITH collect(f.id) AS found
RETURN size(found) AS total, found[$skip .. $skip + $limit] AS rows
