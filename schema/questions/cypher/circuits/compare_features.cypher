// Which features do two circuits have in common, and which does only one have?
// Occurrences of a feature that align count as one. `difference` is the influence in circuit a minus the influence in
// circuit b.
// n_unknown counts the features of unknown influence, which come last.
// $a, $b: ids of the circuits.
// $align: free (anywhere in the prompt), position (at the same position) or from_end (at the same distance from the
//   end of the prompt).
// $part: a (only in circuit a), b (only in circuit b) or both.
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: total | rows | n_unknown
//   16 | [{positions_b: [9], positions_a: [9], feature: "organism-clt@247d388dcdf1/3/1244", activation_a: 6.87,
//     influence_b: 0.0281, activation_b: 3.37, influence_a: 0.0687, difference: 0.0406, place: null}, {positions_b:
//     [9], positions_a: [9], feature: "organism-clt@247d388dcdf1/3/1262", activation_a: 4.04, influence_b: 0.0492,
//     activation_b: 3, influence_a: 0.0804, difference: 0.0313, place: null}, … 14 more] | 0
:param a => "f8d98257b1a3c1872ea8";
:param b => "4012db4770d4d6bcd9c2";
:param align => "free";
:param part => "both";
:param skip => 0;
:param limit => 20;

UNWIND [{id: $a, first: true}, {id: $b, first: false}] AS side
CALL (side) {
  MATCH (:Circuit {id: side.id})-[:HAS]->(n:FeatureNode)-[:INSTANCE_OF]->(f:Feature)
  WITH f, n, CASE $align WHEN "position" THEN n.position WHEN "from_end" THEN n.position_from_end END AS place
  ORDER BY n.position
  RETURN f, place, {
    influence: CASE WHEN count(n.influence) > 0 THEN sum(n.influence) END,
    activation: max(n.activation),
    positions: collect(n.position)
  } AS use
}
WITH f, place, head(collect(CASE WHEN side.first THEN use END)) AS in_a,
     head(collect(CASE WHEN NOT side.first THEN use END)) AS in_b
WHERE CASE $part
  WHEN "a" THEN in_b IS NULL
  WHEN "b" THEN in_a IS NULL
  ELSE in_a IS NOT NULL AND in_b IS NOT NULL
END
WITH f, place, in_a, in_b, in_a.influence - in_b.influence AS difference
ORDER BY coalesce(abs(difference), in_a.influence, in_b.influence, -1.0) DESC, f.id, place
WITH collect({feature: f.id, place: place, influence_a: in_a.influence, influence_b: in_b.influence,
              difference: difference, activation_a: in_a.activation, activation_b: in_b.activation,
              positions_a: coalesce(in_a.positions, []), positions_b: coalesce(in_b.positions, [])}) AS found
RETURN size(found) AS total, found[$skip .. $skip + $limit] AS rows,
       size([row IN found WHERE row.influence_a IS NULL AND row.influence_b IS NULL]) AS n_unknown
