// Into which communities does the graph of features divide, and in which families do they carry influence?
// `atlas modules compute` finds the communities. The share of a module in a family is its part of the influence that
// all features of the transcoder set carry there.
// $partition: id of one computation; null means the newest one.
// $families: names of families. Only they are listed, modules without a feature in their circuits are left out, and the
//   modules with the most influence there come first; null means all families, and the largest modules first.
// $transcoders: id or name of a transcoder set, whose newest computation is read; null means any set.
// $strongest: how many members of each module are listed. Members with the most weight inside the module come first.
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: total | rows | partition
//   14 | [{number: 0, within: 0.845, strongest: [{feature: "organism-clt@247d388dcdf1/0/1515", strength: 131},
//     {feature: "organism-clt@247d388dcdf1/0/747", strength: 100}, … 8 more], id: "23883bf5f179952b8320/0", families:
//     [{n_considered: 40, share: 0.569, family: "arithmetic", n_features: 189, influence: 27.8}, {n_considered: 48,
//     share: 0.0693, family: "chain-of-thought", n_features: 71, influence: 3.32}, … 6 more], n_features: 197},
//     {number: 1, within: 0.916, strongest: [{feature: "organism-clt@247d388dcdf1/0/932", strength: 195}, {feature:
//     "organism-clt@247d388dcdf1/0/463", strength: 152}, … 8 more], id: "23883bf5f179952b8320/1", families:
//     [{n_considered: 48, share: 0.815, family: "multilingual", n_features: 183, influence: 29.7}, {n_considered: 32,
//     share: 0.0707, family: "entities", n_features: 51, influence: 1.45}, … 6 more], n_features: 191}, … 12 more] |
//     {method: "leiden, igraph 1.0.0", seed: 0, resolution: 1, min_circuits: 2, n_features: 1519, null_sd: 0.00189,
//     modularity: 0.725, n_effects: 15873, null_mean: 0.39, n_modules: 14, transcoders: "organism-clt@247d388dcdf1",
//     id: "23883bf5f179952b8320", n_null: 20, computed_at: 2026-11-30T21:40:37.421000000+00:00}
:param partition => null;
:param families => null;
:param transcoders => null;
:param strongest => 10;
:param skip => 0;
:param limit => 20;

CALL () {
  OPTIONAL MATCH (p:Partition)-[:PARTITIONS]->(t:TranscoderSet)
  WHERE ($partition IS NULL OR p.id = $partition) AND ($transcoders IS NULL OR t.id = $transcoders OR t.name = $transcoders)
  RETURN p, t ORDER BY p.computed_at DESC, p.id LIMIT 1
}
CALL (t) {
  MATCH (t)<-[:IN]-(:Feature)-[i:FOUND_IN]->(y:Family)
  WITH t, y, CASE WHEN sum(i.n_measured) > 0 THEN sum(i.influence) END AS influence
  MATCH (t)-[v:COVERS]->(y)
  RETURN collect({family: y.name, influence: influence, considered: v.n_circuits}) AS whole
}
CALL (p) {
  WITH p WHERE $families IS NULL
  CALL (p) {
    MATCH (p)<-[:PART_OF]-(m:Module)
    WITH m ORDER BY m.number
    RETURN collect(m) AS found
  }
  RETURN found
UNION ALL
  WITH p WHERE $families IS NOT NULL
  CALL (p) {
    MATCH (p)<-[:PART_OF]-(m:Module)<-[:MEMBER_OF]-(:Feature)-[i:FOUND_IN]->(y:Family)
    WHERE y.name IN $families
    WITH m, i ORDER BY i.influence
    WITH m, round(sum(i.influence), 9) AS influence
    ORDER BY influence DESC, m.number
    RETURN collect(m) AS found
  }
  RETURN found
}
CALL (found, whole) {
  UNWIND found[$skip .. $skip + $limit] AS m
  CALL (m, whole) {
    MATCH (m)<-[:MEMBER_OF]-(f:Feature)-[i:FOUND_IN]->(y:Family)
    WHERE $families IS NULL OR y.name IN $families
    WITH y, whole, count(f) AS n_features,
         CASE WHEN sum(i.n_measured) > 0 THEN sum(i.influence) END AS influence
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
