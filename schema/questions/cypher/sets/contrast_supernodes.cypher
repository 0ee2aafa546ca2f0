// Which supernodes, by their label, distinguish two sets of circuits?
// The influence of a label in a circuit is that of all members of its supernodes. Only circuits that are grouped in
// this way count. AUROC, lift and order are those of contrast_features.cypher.
// n_unknown counts the listed labels whose influence is unknown in all circuits of both sets; null where influence
// does not order the list.
// $positive, $negative: ids of the circuits of the two sets.
// $units: for each circuit that shares its unit (such as its prompt) with other circuits, the unit; null counts
//   circuits. A unit has what one of its circuits has, and its value is the mean over these circuits.
// $min_circuits: least number of circuits of both sets together that have it.
// $method, $author: the way of grouping; a null author means all authors. groupings_of_set.cypher lists the ways.
// $order: auroc, separation or lift.
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: total | rows | n_unknown
//   4 | [{with_positive: 2, with_negative: 0, name: "say =", lift: null, n_negative: 2, n_positive: 2, mean_negative:
//     null, mean_positive: 0.0464, auroc: 1}, {with_positive: 2, with_negative: 0, name: "say us-tx", lift: null,
//     n_negative: 2, n_positive: 2, mean_negative: null, mean_positive: 0.066, auroc: 1}, … 2 more] | 0
:param positive => ["f8d98257b1a3c1872ea8", "4012db4770d4d6bcd9c2"];
:param negative => ["fd72be67a9e40556d5aa", "147bf5affe463b044ce0"];
:param method => "label-and-position-v1";
:param author => null;
:param units => null;
:param min_circuits => 2;
:param order => "separation";
:param skip => 0;
:param limit => 20;

CALL () {
  MATCH (c:Circuit)
  WHERE (c.id IN $positive OR c.id IN $negative) AND EXISTS {
    (c)-[:HAS]->(s:Supernode {method: $method}) WHERE $author IS NULL OR s.author = $author
  }
  WITH c, coalesce($units[c.id], c.id) AS unit
  RETURN count(DISTINCT CASE WHEN c.id IN $positive THEN unit END) AS n_positive,
         count(DISTINCT CASE WHEN c.id IN $negative THEN unit END) AS n_negative
}
CALL () {
  MATCH (c:Circuit)
  WHERE c.id IN $positive OR c.id IN $negative
  MATCH (c)-[:HAS]->(s:Supernode {method: $method})
  WHERE $author IS NULL OR s.author = $author
  MATCH (s)-[:GROUPS]->(n:Node)
  WITH DISTINCT c, s.label AS label, n
  WITH c, label, CASE WHEN count(n.influence) > 0 AND count(n.influence) = count(n) THEN sum(n.influence) END AS influence
  WITH label, c.id IN $positive AS ours, coalesce($units[c.id], c.id) AS unit, avg(influence) AS influence
  RETURN label, influence, count(CASE WHEN ours THEN 1 END) AS positive,
         count(CASE WHEN NOT ours THEN 1 END) AS negative
}
WITH n_positive, n_negative, label, influence, positive, negative
ORDER BY coalesce(influence, -1.0)
WITH n_positive, n_negative, label, collect([influence, positive, negative]) AS steps,
     sum(positive) AS with_positive, sum(negative) AS with_negative
WHERE with_positive + with_negative >= $min_circuits
WITH *, [step IN steps WHERE step[0] IS NOT NULL] AS known
WITH label, with_positive, with_negative, n_positive, n_negative,
     reduce(sum = 0.0, step IN known | sum + step[0] * step[1]) AS sum_positive,
     reduce(sum = 0.0, step IN known | sum + step[0] * step[2]) AS sum_negative,
     reduce(n = 0, step IN known | n + step[1]) AS known_positive,
     reduce(n = 0, step IN known | n + step[2]) AS known_negative,
     // Go up the ranks with [negative circuits so far, pairs that the positive circuit won].
     reduce(state = [n_negative - with_negative, (n_positive - with_positive) * (n_negative - with_negative) / 2.0],
            step IN steps |
       [state[0] + step[2], state[1] + step[1] * (state[0] + step[2] / 2.0)])[1] AS won
WITH label, with_positive, with_negative, n_positive, n_negative,
     CASE WHEN known_positive > 0 THEN sum_positive / known_positive END AS influence_positive,
     CASE WHEN known_negative > 0 THEN sum_negative / known_negative END AS influence_negative,
     CASE WHEN n_positive > 0 AND n_negative > 0 THEN won / (n_positive * n_negative) END AS auroc,
     CASE WHEN with_negative > 0 AND n_positive > 0
       THEN toFloat(with_positive) * n_negative / (n_positive * with_negative) END AS lift
ORDER BY CASE $order
           WHEN "auroc" THEN -coalesce(auroc, -1.0)
           WHEN "separation" THEN -abs(coalesce(auroc, 0.5) - 0.5)
           WHEN "lift" THEN CASE WHEN n_negative = 0 THEN 1.0 WHEN lift IS NULL THEN -1.0e300 ELSE -lift END
         END, with_positive DESC, with_negative, label
WITH collect({name: label, with_positive: with_positive, n_positive: n_positive, with_negative: with_negative,
              n_negative: n_negative, mean_positive: influence_positive, mean_negative: influence_negative,
              auroc: auroc, lift: lift}) AS found,
     count(CASE WHEN influence_positive IS NULL AND influence_negative IS NULL THEN 1 END) AS unknown
RETURN size(found) AS total, found[$skip .. $skip + $limit] AS rows,
       CASE WHEN $order <> "lift" THEN unknown END AS n_unknown
