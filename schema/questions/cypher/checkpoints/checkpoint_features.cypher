// Which features appeared, disappeared or changed between two checkpoints?
// The question compares the prompts that have a circuit with the same target and thresholds at both checkpoints.
// Positions are ignored. Features whose number of circuits changed most come first. Influences are means over the
// circuits that have the feature.
// $a, $b: ids of the checkpoints.
// $part: a (only circuits of a have the feature), b (only circuits of b), both or any.
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: total | rows
//   540 | [{circuits_a: 13, number: 99, circuits_b: 0, influence_b: null, feature_b: null, feature_a:
//     "organism-clt@bc6b1148c1d8/0/99", influence_a: 0.000614, layer: 0}, {circuits_a: 15, number: 453, circuits_b:
//     2, influence_b: 0.021, feature_b: "organism-clt@4eb564aeb0c1/5/453", feature_a:
//     "organism-clt@bc6b1148c1d8/5/453", influence_a: 0.00198, layer: 5}, … 18 more]
:param a => COLLECT { MATCH (k:Checkpoint) RETURN k.id ORDER BY k.series, k.step LIMIT 1 }[0];
:param b => COLLECT { MATCH (k:Checkpoint) RETURN k.id ORDER BY k.series, k.step LIMIT 2 }[1];
:param part => "any";
:param skip => 0;
:param limit => 20;

CALL () {
  MATCH (:Checkpoint {id: $a})-[:READ_BY]->(s:TranscoderSet)
  MATCH (:Checkpoint {id: $b})-[:READ_BY]->(t:TranscoderSet)
  MATCH (s)<-[:BY]-(c:Circuit)-[:OF_PROMPT]->(:Prompt)<-[:OF_PROMPT]-(d:Circuit)-[:BY]->(t)
  WHERE c <> d AND c.target_position = d.target_position AND coalesce(c.target, "") = coalesce(d.target, "")
    AND coalesce(c.node_threshold, -1) = coalesce(d.node_threshold, -1)
    AND coalesce(c.edge_threshold, -1) = coalesce(d.edge_threshold, -1)
  RETURN collect(DISTINCT c) AS of_a, collect(DISTINCT d) AS of_b
}
CALL (of_a, of_b) {
  UNWIND of_a AS c
  MATCH (c)-[u:USES]->(f:Feature)
  RETURN f, true AS first, u.influence AS influence
UNION ALL
  UNWIND of_b AS c
  MATCH (c)-[u:USES]->(f:Feature)
  RETURN f, false AS first, u.influence AS influence
}
WITH f, first, count(*) AS n, avg(influence) AS influence
WITH f.layer AS layer, f.index AS number, f.component AS component,
     head(collect(CASE WHEN first THEN {feature: f.id, n: n, influence: influence} END)) AS in_a,
     head(collect(CASE WHEN NOT first THEN {feature: f.id, n: n, influence: influence} END)) AS in_b
WHERE CASE $part
  WHEN "a" THEN in_b IS NULL
  WHEN "b" THEN in_a IS NULL
  WHEN "both" THEN in_a IS NOT NULL AND in_b IS NOT NULL
  ELSE true
END
WITH layer, number, component, in_a, in_b, coalesce(in_a.n, 0) AS n_a, coalesce(in_b.n, 0) AS n_b
ORDER BY abs(n_a - n_b) DESC, layer, number, component
WITH collect({layer: layer, number: number, feature_a: in_a.feature, feature_b: in_b.feature, circuits_a: n_a,
              circuits_b: n_b, influence_a: in_a.influence, influence_b: in_b.influence}) AS found
RETURN size(found) AS total, found[$skip .. $skip + $limit] AS rows
