// Which features do two circuits have, and not have, in common, wherever in the prompt they stand?
// $part: a (only in circuit a), b (only in b) or both. `difference` is the influence in a minus that in b.
:param a => "00000000000000000000";
:param b => "00000000000000000001";
:param part => "both";
:param skip => 0;
:param limit => 20;

CALL () {
  MATCH (:Circuit {id: $a})-[u:USES]->(f:Feature)
  RETURN f, u AS in_a, null AS in_b
UNION ALL
  MATCH (:Circuit {id: $b})-[u:USES]->(f:Feature)
  RETURN f, null AS in_a, u AS in_b
}
WITH f, head(collect(in_a)) AS in_a, head(collect(in_b)) AS in_b
WHERE CASE $part
  WHEN "a" THEN in_b IS NULL
  WHEN "b" THEN in_a IS NULL
  ELSE in_a IS NOT NULL AND in_b IS NOT NULL
END
WITH f, in_a, in_b, in_a.influence - in_b.influence AS difference
ORDER BY abs(coalesce(difference, in_a.influence, in_b.influence, 0.0)) DESC, f.id
WITH collect({feature: f.id, influence_a: in_a.influence, influence_b: in_b.influence, difference: difference,
              activation_a: in_a.activation, activation_b: in_b.activation,
              positions_a: coalesce(in_a.positions, []), positions_b: coalesce(in_b.positions, [])}) AS found
RETURN size(found) AS total, found[$skip .. $skip + $limit] AS rows
