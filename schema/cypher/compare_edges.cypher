// Which effects of one feature on another do two circuits have, and not have, in common, free of position?
// The effects between all occurrences of two features in a circuit are added up. $part: a (only in circuit a), b (only
// in b) or both. `difference` is the weight in a minus that in b.
:param a => "00000000000000000000";
:param b => "00000000000000000001";
:param part => "both";
:param skip => 0;
:param limit => 20;

CALL () {
  MATCH (:Circuit {id: $a})-[:HAS]->(n:FeatureNode)-[e:ATTRIBUTES]->(m:FeatureNode),
        (n)-[:INSTANCE_OF]->(f:Feature), (m)-[:INSTANCE_OF]->(g:Feature)
  RETURN f, g, sum(e.weight) AS in_a, null AS in_b
UNION ALL
  MATCH (:Circuit {id: $b})-[:HAS]->(n:FeatureNode)-[e:ATTRIBUTES]->(m:FeatureNode),
        (n)-[:INSTANCE_OF]->(f:Feature), (m)-[:INSTANCE_OF]->(g:Feature)
  RETURN f, g, null AS in_a, sum(e.weight) AS in_b
}
WITH f, g, head(collect(in_a)) AS in_a, head(collect(in_b)) AS in_b
WHERE CASE $part
  WHEN "a" THEN in_b IS NULL
  WHEN "b" THEN in_a IS NULL
  ELSE in_a IS NOT NULL AND in_b IS NOT NULL
END
WITH f, g, in_a, in_b, in_a - in_b AS difference
ORDER BY abs(coalesce(difference, in_a, in_b)) DESC, f.id, g.id
WITH collect({source: f.id, target: g.id, weight_a: in_a, weight_b: in_b, difference: difference}) AS found
RETURN size(found) AS total, found[$skip .. $skip + $limit] AS rows
