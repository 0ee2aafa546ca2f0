// Which features are there, by label, layer and family, and in how many circuits do they take part?
// $search is a full-text query over the labels. With $family, only circuits of that family are counted.
// $order: circuits (most first), influence (highest mean first) or layer (then by index).
// Sample answer: total | rows
//   1633 | ["organism-clt@247d388dcdf1/0/463", "organism-clt@247d388dcdf1/0/866", … 18 more]
:param search => null;
:param layer => null;
:param family => null;
:param min_circuits => 2;
:param order => "circuits";
:param skip => 0;
:param limit => 20;

CALL () {
  // A search: from the labels found.
  WITH $search AS words WHERE words IS NOT NULL
  CALL db.index.fulltext.queryNodes("label_text", words) YIELD node
  MATCH (node)-[:LABELS]->(f:Feature)
  WITH DISTINCT f
  MATCH (f)<-[u:USES]-(c:Circuit)
  WHERE $family IS NULL OR EXISTS { (c)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(:Family {name: $family}) }
  RETURN f, count(u) AS n, avg(u.influence) AS influence
UNION ALL
  // Everything, with influence.
  WITH $order AS order WHERE $search IS NULL AND $family IS NULL AND order = "influence"
  MATCH (f:Feature)
  WHERE f.n_circuits >= $min_circuits
  OPTIONAL MATCH (f)<-[u:USES]-()
  RETURN f, count(u) AS n, avg(u.influence) AS influence
UNION ALL
  // Everything: how many circuits have a feature is kept up to date by every load.
  WITH $order AS order WHERE $search IS NULL AND $family IS NULL AND order <> "influence"
  MATCH (f:Feature)
  WHERE f.n_circuits >= $min_circuits
  RETURN f, f.n_circuits AS n, null AS influence
UNION ALL
  // A family: so are its counts.
  WITH $family AS family WHERE $search IS NULL AND family IS NOT NULL
  MATCH (:Family {name: family})<-[i:FOUND_IN]-(f)
  RETURN f, i.n_circuits AS n,
         CASE WHEN $order = "influence" AND i.n_measured > 0 THEN i.influence / i.n_measured END AS influence
}
WITH f, n, influence
WHERE n >= $min_circuits AND ($layer IS NULL OR f.layer = $layer)
WITH f, CASE $order
    WHEN "circuits" THEN -n
    WHEN "influence" THEN -coalesce(influence, 0.0)
    ELSE [f.layer, f.index]
  END AS rank
ORDER BY rank, f.id
WITH collect(f) AS found
RETURN size(found) AS total, [f IN found[$skip .. $skip + $limit] | f.id] AS rows
