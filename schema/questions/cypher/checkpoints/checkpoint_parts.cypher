// How much of the circuits of one checkpoint is present at another checkpoint, by family?
// The question compares the prompts that have a circuit with the same target and thresholds at both checkpoints. n_a,
// n_b and n_both are sums over prompts. `share` is the mean over prompts of the share of b's parts that a has too.
// `null_share` compares b with a's circuit of the next prompt of the family: it shows what any two prompts share.
// Both are null where nothing can be compared. correct_a and correct_b count right answers among the n_judged
// prompts.
// $a, $b: ids of the checkpoints.
// $part: features (at their positions) or edges (except those from error nodes).
// Sample answer: family | n_prompts | n_judged | correct_a | correct_b | n_a | n_b | n_both | share | null_share
//   "arithmetic" | 3 | 3 | 0 | 0 | 80 | 243 | 51 | 0.21 | 0.181
//   "chain-of-thought" | 3 | 3 | 0 | 0 | 227 | 228 | 47 | 0.206 | 0.174
//   "entities" | 3 | 3 | 1 | 1 | 50 | 82 | 18 | 0.227 | 0.141
//   … 5 more rows
:param a => COLLECT { MATCH (k:Checkpoint) RETURN k.id ORDER BY k.series, k.step LIMIT 1 }[0];
:param b => COLLECT { MATCH (k:Checkpoint) RETURN k.id ORDER BY k.series, k.step LIMIT 2 }[1];
:param part => "features";

MATCH (:Checkpoint {id: $a})-[:READ_BY]->(s:TranscoderSet)
MATCH (:Checkpoint {id: $b})-[:READ_BY]->(t:TranscoderSet)
MATCH (s)<-[:BY]-(c:Circuit)-[:OF_PROMPT]->(p:Prompt)<-[:OF_PROMPT]-(d:Circuit)-[:BY]->(t)
WHERE c <> d AND c.target_position = d.target_position AND coalesce(c.target, "") = coalesce(d.target, "")
  AND coalesce(c.node_threshold, -1) = coalesce(d.node_threshold, -1)
  AND coalesce(c.edge_threshold, -1) = coalesce(d.edge_threshold, -1)
WITH c, d, p, head([(p)-[:IN_FAMILY]->(f:Family) | f.name]) AS family
WITH family, c, d, p,
     CASE $part
       WHEN "features" THEN [(c)-[:HAS]->(n:FeatureNode) | substring(n.id, size(c.id) + 1)]
       ELSE [(c)-[:HAS]->(n:Node)-[:ATTRIBUTES]->(m:Node) WHERE NOT n:ErrorNode |
             substring(n.id, size(c.id) + 1) + ">" + substring(m.id, size(c.id) + 1)]
     END AS in_a,
     CASE $part
       WHEN "features" THEN [(d)-[:HAS]->(n:FeatureNode) | substring(n.id, size(d.id) + 1)]
       ELSE [(d)-[:HAS]->(n:Node)-[:ATTRIBUTES]->(m:Node) WHERE NOT n:ErrorNode |
             substring(n.id, size(d.id) + 1) + ">" + substring(m.id, size(d.id) + 1)]
     END AS in_b
ORDER BY family, p.id, c.id, d.id
WITH family, collect({a: c, b: d, in_a: in_a, in_b: in_b}) AS pairs
CALL (pairs) {
  UNWIND range(0, size(pairs) - 1) AS at
  WITH pairs[at] AS pair, pairs[(at + 1) % size(pairs)] AS other
  CALL (pair) {
    UNWIND [[pair.in_a, 1], [pair.in_b, 2]] AS side
    UNWIND side[0] AS part
    WITH part, sum(side[1]) AS sides
    RETURN count(CASE WHEN sides = 3 THEN 1 END) AS n_both
  }
  CALL (pair, other) {
    UNWIND [[other.in_a, 1], [pair.in_b, 2]] AS side
    UNWIND side[0] AS part
    WITH part, sum(side[1]) AS sides
    RETURN count(CASE WHEN sides = 3 THEN 1 END) AS n_null
  }
  WITH pair, n_both, n_null, CASE WHEN size(pair.in_b) > 0 THEN 1.0 * size(pair.in_b) END AS whole
  RETURN count(*) AS n_prompts, count(pair.b.correct) AS n_judged,
         sum(CASE WHEN pair.a.correct THEN 1 ELSE 0 END) AS correct_a,
         sum(CASE WHEN pair.b.correct THEN 1 ELSE 0 END) AS correct_b, sum(size(pair.in_a)) AS n_a,
         sum(size(pair.in_b)) AS n_b, sum(n_both) AS n_both, avg(n_both / whole) AS share,
         CASE WHEN size(pairs) > 1 THEN avg(n_null / whole) END AS null_share
}
RETURN family, n_prompts, n_judged, correct_a, correct_b, n_a, n_b, n_both, share, null_share
ORDER BY family
