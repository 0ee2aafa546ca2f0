// Which communities does the graph of features fall into, and in which families do they carry influence?
// `atlas modules compute` finds them. $partition: one such computation; $transcoders: the newest of this set; both null:
// the newest of all. The share in a family is of the influence that all features of the set carry there. $strongest: how
// many members of each module, those with most weight inside it first.
:param partition => null;
:param transcoders => null;
:param strongest => 10;
:param skip => 0;
:param limit => 20;

CALL () {
  OPTIONAL MATCH (p:Partition)-[:PARTITIONS]->(t:TranscoderSet)
  WHERE ($partition IS NULL OR p.id = $partition) AND ($transcoders IS NULL OR t.id = $transcoders)
  RETURN p, t ORDER BY p.computed_at DESC, p.id LIMIT 1
}
CALL (t) {
  MATCH (t)<-[:IN]-(:Feature)-[i:FOUND_IN]->(y:Family)
  WITH t, y, sum(i.influence) AS influence
  MATCH (t)-[v:COVERS]->(y)
  RETURN collect({family: y.name, influence: influence, considered: v.n_circuits}) AS whole
}
CALL (p) {
  MATCH (p)<-[:PART_OF]-(m:Module)
  WITH m ORDER BY m.number
  RETURN collect(m) AS found
}
CALL (found, whole) {
  UNWIND found[$skip .. $skip + $limit] AS m
  CALL (m, whole) {
    MATCH (m)<-[:MEMBER_OF]-(f:Feature)-[i:FOUND_IN]->(y:Family)
    WITH y, whole, count(f) AS n_features, sum(i.influence) AS influence
    WITH y, n_features, influence, head([each IN whole WHERE each.family = y.name]) AS of
    WITH y, n_features, influence, of, CASE of.influence WHEN 0 THEN null ELSE influence / of.influence END AS share
    ORDER BY coalesce(share, -1.0) DESC, y.name
    RETURN collect({family: y.name, n_features: n_features, n_considered: of.considered, influence: influence,
                    share: share}) AS families
  }
  CALL (m) {
    MATCH (m)<-[e:MEMBER_OF]-(f:Feature)
    WITH f, e ORDER BY e.strength DESC, f.id LIMIT $strongest
    RETURN collect({feature: f.id, strength: e.strength}) AS strongest
  }
  RETURN collect({id: m.id, number: m.number, n_features: m.n_features, within: m.within, families: families,
                  strongest: strongest}) AS rows
}
RETURN size(found) AS total, rows, CASE WHEN p IS NOT NULL THEN p {
  .id, transcoders: t.id, .method, .seed, .resolution, .min_circuits, .n_features, .n_effects, .n_modules, .modularity,
  .null_mean, .null_sd, .n_null, .computed_at } END AS partition
