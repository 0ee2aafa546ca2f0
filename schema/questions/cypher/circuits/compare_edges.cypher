// Which direct effects between features do two circuits have in common, and which does only one have?
// The weights of effects that align are added up. `difference` is the weight in circuit a minus the weight in circuit
// b.
// $a, $b: ids of the circuits.
// $align: free (anywhere in the prompt), position (both features at the same positions) or from_end (both features at
//   the same distances from the end of the prompt).
// $part: a (only in circuit a), b (only in circuit b), both, or flipped (in both circuits, with opposite signs).
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: total | rows
//   47 | [{weight_a: 0.639, source_place: null, weight_b: 0.364, difference: 0.276, source:
//     "organism-clt@247d388dcdf1/1/1339", target_place: null, target: "organism-clt@247d388dcdf1/5/1235"}, {weight_a:
//     0.639, source_place: null, weight_b: 0.364, difference: 0.276, source: "organism-clt@247d388dcdf1/1/962",
//     target_place: null, target: "organism-clt@247d388dcdf1/5/1235"}, … 18 more]
:param a => "f8d98257b1a3c1872ea8";
:param b => "4012db4770d4d6bcd9c2";
:param align => "free";
:param part => "both";
:param skip => 0;
:param limit => 20;

UNWIND [{id: $a, first: true}, {id: $b, first: false}] AS side
CALL (side) {
  MATCH (:Circuit {id: side.id})-[:HAS]->(n:FeatureNode)-[e:ATTRIBUTES]->(m:FeatureNode)
  MATCH (n)-[:INSTANCE_OF]->(f:Feature)
  MATCH (m)-[:INSTANCE_OF]->(g:Feature)
  RETURN f, g, CASE $align WHEN "position" THEN n.position WHEN "from_end" THEN n.position_from_end END AS source_place,
         CASE $align WHEN "position" THEN m.position WHEN "from_end" THEN m.position_from_end END AS target_place,
         sum(e.weight) AS weight
}
WITH f, g, source_place, target_place, head(collect(CASE WHEN side.first THEN weight END)) AS in_a,
     head(collect(CASE WHEN NOT side.first THEN weight END)) AS in_b
WHERE CASE $part
  WHEN "a" THEN in_b IS NULL
  WHEN "b" THEN in_a IS NULL
  WHEN "flipped" THEN in_a * in_b < 0
  ELSE in_a IS NOT NULL AND in_b IS NOT NULL
END
WITH f, g, source_place, target_place, in_a, in_b, in_a - in_b AS difference
ORDER BY abs(coalesce(difference, in_a, in_b)) DESC, f.id, g.id, source_place, target_place
WITH collect({source: f.id, target: g.id, source_place: source_place, target_place: target_place, weight_a: in_a,
              weight_b: in_b, difference: difference}) AS found
RETURN size(found) AS total, found[$skip .. $skip + $limit] AS rows
