// Which direct effects between features distinguish two sets of circuits?
// The effects between all occurrences of two features in a circuit are added up. A circuit without the effect counts
// as 0, which lies between excitation and inhibition. AUROC is the probability that the effect is greater in a random
// circuit of $positive than in a random circuit of $negative; ties count half. Only circuits made with the features'
// own transcoder set count.
// $positive, $negative: ids of the circuits of the two sets.
// $units: for each circuit that shares its unit (such as its prompt) with other circuits, the unit; null counts
//   circuits. A unit has what one of its circuits has, and its value is the mean over these circuits.
// $min_circuits: least number of circuits of both sets together that have it.
// $order: auroc (highest first), separation (furthest from 0.5 first) or lift (share of the positive circuits / share
//   of the negative circuits; effects that no negative circuit has come first).
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: total | rows
//   92 | [{with_positive: 2, with_negative: 0, name: "organism-clt@247d388dcdf1/0/1000", lift: null, n_negative: 2,
//     n_positive: 2, mean_negative: null, mean_positive: 0.516, target: "organism-clt@247d388dcdf1/3/1244", auroc:
//     1}, {with_positive: 2, with_negative: 0, name: "organism-clt@247d388dcdf1/0/1000", lift: null, n_negative: 2,
//     n_positive: 2, mean_negative: null, mean_positive: 0.217, target: "organism-clt@247d388dcdf1/3/1262", auroc:
//     1}, … 18 more]
:param positive => ["f8d98257b1a3c1872ea8", "4012db4770d4d6bcd9c2"];
:param negative => ["fd72be67a9e40556d5aa", "147bf5affe463b044ce0"];
:param units => null;
:param min_circuits => 2;
:param order => "separation";
:param skip => 0;
:param limit => 20;

CALL () {
  MATCH (c:Circuit)-[:BY]->(t:TranscoderSet)
  WHERE c.id IN $positive OR c.id IN $negative
  WITH t, coalesce($units[c.id], c.id) AS unit, c
  WITH t, count(DISTINCT CASE WHEN c.id IN $positive THEN unit END) AS positive,
       count(DISTINCT CASE WHEN c.id IN $negative THEN unit END) AS negative
  RETURN collect({set: t, positive: positive, negative: negative}) AS sets
}
CALL () {
  CALL () {
    WITH * WHERE $units IS NULL
    MATCH (c:Circuit)
    WHERE c.id IN $positive OR c.id IN $negative
    WITH c, CASE WHEN c.id IN $positive THEN 1 ELSE 0 END AS side
    CALL (c) {
      // Look up the feature once for each node, not once for each effect of the node.
      MATCH (c)-[:HAS]->(m:FeatureNode)-[:INSTANCE_OF]->(g:Feature)
      MATCH (n:FeatureNode)-[e:ATTRIBUTES]->(m)
      WITH n, g, sum(e.weight) AS weight
      WITH n, collect([g, weight]) AS effects
      MATCH (n)-[:INSTANCE_OF]->(f:Feature)
      UNWIND effects AS effect
      RETURN f, effect[0] AS g, sum(effect[1]) AS weight
    }
    RETURN f, collect([g, weight, side]) AS effects
  UNION ALL
    WITH * WHERE $units IS NOT NULL
    MATCH (c:Circuit)
    WHERE c.id IN $positive OR c.id IN $negative
    WITH c, CASE WHEN c.id IN $positive THEN 1 ELSE 0 END AS side, coalesce($units[c.id], c.id) AS unit
    CALL (c) {
      MATCH (c)-[:HAS]->(m:FeatureNode)-[:INSTANCE_OF]->(g:Feature)
      MATCH (n:FeatureNode)-[e:ATTRIBUTES]->(m)
      WITH n, g, sum(e.weight) AS weight
      WITH n, collect([g, weight]) AS effects
      MATCH (n)-[:INSTANCE_OF]->(f:Feature)
      UNWIND effects AS effect
      RETURN f, effect[0] AS g, sum(effect[1]) AS weight
    }
    WITH f, g, side, unit, avg(weight) AS weight
    RETURN f, collect([g, weight, side]) AS effects
  }
  // One feature after the other. Grouping and sorting all effects together takes twice as long and more memory.
  CALL (effects) {
    UNWIND effects AS effect
    WITH effect[0] AS g, effect[1] AS weight, sum(effect[2]) AS positive, sum(1 - effect[2]) AS negative
    ORDER BY weight
    WITH g, collect([weight, positive, negative]) AS steps,
         sum(positive) AS with_positive, sum(negative) AS with_negative
    WHERE with_positive + with_negative >= $min_circuits
    RETURN g, steps, with_positive, with_negative
  }
  RETURN f, g, steps, with_positive, with_negative
}
MATCH (f)-[:IN]->(t:TranscoderSet)
WITH f, g, steps, with_positive, with_negative, head([s IN sets WHERE s.set = t]) AS counts
WITH f, g, with_positive, with_negative, counts.positive AS n_positive, counts.negative AS n_negative,
     // Circuits without the effect are placed at 0.
     [step IN steps WHERE step[0] < 0]
       + [[0.0, counts.positive - reduce(n = 0, step IN steps | n + CASE WHEN step[0] <> 0 THEN step[1] ELSE 0 END),
           counts.negative - reduce(n = 0, step IN steps | n + CASE WHEN step[0] <> 0 THEN step[2] ELSE 0 END)]]
       + [step IN steps WHERE step[0] > 0] AS ranks
WITH f, g, with_positive, with_negative, n_positive, n_negative,
     reduce(sum = 0.0, step IN ranks | sum + step[0] * step[1]) AS sum_positive,
     reduce(sum = 0.0, step IN ranks | sum + step[0] * step[2]) AS sum_negative,
     // Go up the ranks with [negative circuits so far, pairs that the positive circuit won].
     reduce(state = [0.0, 0.0], step IN ranks |
       [state[0] + step[2], state[1] + step[1] * (state[0] + step[2] / 2.0)])[1] AS won
WITH f, g, with_positive, with_negative, n_positive, n_negative,
     CASE WHEN with_positive > 0 THEN sum_positive / with_positive END AS mean_positive,
     CASE WHEN with_negative > 0 THEN sum_negative / with_negative END AS mean_negative,
     CASE WHEN n_positive > 0 AND n_negative > 0 THEN won / (n_positive * n_negative) END AS auroc,
     CASE WHEN with_negative > 0 AND n_positive > 0
       THEN toFloat(with_positive) * n_negative / (n_positive * with_negative) END AS lift
ORDER BY CASE $order
           WHEN "auroc" THEN -coalesce(auroc, -1.0)
           WHEN "separation" THEN -abs(coalesce(auroc, 0.5) - 0.5)
           WHEN "lift" THEN CASE WHEN n_negative = 0 THEN 1.0 WHEN lift IS NULL THEN -1.0e300 ELSE -lift END
         END, with_positive DESC, with_negative, f.id, g.id
WITH collect({name: f.id, target: g.id, with_positive: with_positive, n_positive: n_positive,
              with_negative: with_negative, n_negative: n_negative, mean_positive: mean_positive,
              mean_negative: mean_negative, auroc: auroc, lift: lift}) AS found
RETURN size(found) AS total, found[$skip .. $skip + $limit] AS rows
