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
  // Everything: the database knows how many relationships a node has without walking along them.
  WITH $order AS order WHERE $search IS NULL AND $family IS NULL
  MATCH (f:Feature)
  CALL (f, order) {
    MATCH (f)<-[u:USES]-()
    WHERE order = "influence"
    RETURN avg(u.influence) AS influence
  }
  RETURN f, COUNT { (f)<-[:USES]-() } AS n, influence
UNION ALL
  // A family: from its circuits.
  WITH $family AS family WHERE $search IS NULL AND family IS NOT NULL
  MATCH (:Family {name: family})<-[:IN_FAMILY]-(:Prompt)<-[:OF_PROMPT]-(:Circuit)-[u:USES]->(f:Feature)
  RETURN f, count(u) AS n, avg(u.influence) AS influence
UNION ALL
  // A search: from the labels found.
  WITH $search AS words WHERE words IS NOT NULL
  CALL db.index.fulltext.queryNodes("label_text", words) YIELD node
  MATCH (node)-[:LABELS]->(f:Feature)
  WITH DISTINCT f
  MATCH (f)<-[u:USES]-(c:Circuit)
  WHERE $family IS NULL OR EXISTS { (c)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(:Family {name: $family}) }
  RETURN f, count(u) AS n, avg(u.influence) AS influence
}
WITH f, n, influence
WHERE n >= $min_circuits AND ($layer IS NULL OR f.layer = $layer)
WITH f, n, influence
ORDER BY CASE $order WHEN "circuits" THEN -n WHEN "influence" THEN -coalesce(influence, 0.0) END,
         CASE $order WHEN "layer" THEN f.layer END, CASE $order WHEN "layer" THEN f.index END, f.id
WITH collect(f.id) AS found
RETURN size(found) AS total, found[$skip .. $skip + $limit] AS rows
