// Which features tell two sets of circuits apart?
// AUROC: the chance that the feature has more influence in a random circuit of $positive than in one of $negative, ties
// counted half. Circuits without the feature rank below all that have it, circuits that have it without known influence
// next. Only circuits made with the feature's own transcoder set count. A feature must be in at least $min_circuits of
// both sets together. $order: auroc (highest first), separation (furthest from 0.5 first) or lift (share of the
// positive over share of the negative circuits, features that no negative circuit has first).
// Sample answer: total | rows
//   29 | [{with_positive: 2, with_negative: 0, name: "organism-clt@247d388dcdf1/1/1339", lift: null, n_negative: 2,
//     n_positive: 2, mean_negative: null, mean_positive: 0.033, auroc: 1}, {with_positive: 2, with_negative: 0, name:
//     "organism-clt@247d388dcdf1/1/1369", lift: null, n_negative: 2, n_positive: 2, mean_negative: null,
//     mean_positive: 0.0235, auroc: 1}, … 18 more]
:param positive => ["f8d98257b1a3c1872ea8", "4012db4770d4d6bcd9c2"];
:param negative => ["fd72be67a9e40556d5aa", "147bf5affe463b044ce0"];
:param min_circuits => 2;
:param order => "separation";
:param skip => 0;
:param limit => 20;

CALL () {
  MATCH (c:Circuit)-[:BY]->(t:TranscoderSet)
  WHERE c.id IN $positive OR c.id IN $negative
  WITH t, count(CASE WHEN c.id IN $positive THEN 1 END) AS positive,
       count(CASE WHEN c.id IN $negative THEN 1 END) AS negative
  RETURN collect({set: t, positive: positive, negative: negative}) AS sets
}
CALL () {
  // One feature after the other: grouping and sorting all together takes longer, and more memory.
  MATCH (c:Circuit)
  WHERE c.id IN $positive OR c.id IN $negative
  WITH c, CASE WHEN c.id IN $positive THEN 1 ELSE 0 END AS side
  MATCH (c)-[u:USES]->(f)
  WITH f, collect([u.influence, side]) AS uses
  WHERE size(uses) >= $min_circuits
  CALL (uses) {
    UNWIND uses AS use
    WITH use[0] AS influence, sum(use[1]) AS positive, sum(1 - use[1]) AS negative
    ORDER BY coalesce(influence, -1.0)
    RETURN collect([influence, positive, negative]) AS steps,
           sum(positive) AS with_positive, sum(negative) AS with_negative
  }
  RETURN f, steps, with_positive, with_negative
}
MATCH (f)-[:IN]->(t:TranscoderSet)
WITH f, steps, with_positive, with_negative, head([s IN sets WHERE s.set = t]) AS counts
WITH f, steps, with_positive, with_negative, counts.positive AS n_positive, counts.negative AS n_negative,
     [step IN steps WHERE step[0] IS NOT NULL] AS known
WITH f, with_positive, with_negative, n_positive, n_negative,
     reduce(sum = 0.0, step IN known | sum + step[0] * step[1]) AS sum_positive,
     reduce(sum = 0.0, step IN known | sum + step[0] * step[2]) AS sum_negative,
     reduce(n = 0, step IN known | n + step[1]) AS known_positive,
     reduce(n = 0, step IN known | n + step[2]) AS known_negative,
     // Walking up the ranks: [negative circuits so far, pairs that the positive circuit won].
     reduce(state = [n_negative - with_negative, (n_positive - with_positive) * (n_negative - with_negative) / 2.0],
            step IN steps |
       [state[0] + step[2], state[1] + step[1] * (state[0] + step[2] / 2.0)])[1] AS won
WITH f, with_positive, with_negative, n_positive, n_negative,
     CASE WHEN known_positive > 0 THEN sum_positive / known_positive END AS influence_positive,
     CASE WHEN known_negative > 0 THEN sum_negative / known_negative END AS influence_negative,
     CASE WHEN n_positive > 0 AND n_negative > 0 THEN won / (n_positive * n_negative) END AS auroc,
     CASE WHEN with_negative > 0 AND n_positive > 0
       THEN toFloat(with_positive) * n_negative / (n_positive * with_negative) END AS lift
ORDER BY CASE $order
           WHEN "auroc" THEN -coalesce(auroc, -1.0)
           WHEN "separation" THEN -abs(coalesce(auroc, 0.5) - 0.5)
           WHEN "lift" THEN CASE WHEN n_negative = 0 THEN 1.0 WHEN lift IS NULL THEN -1.0e300 ELSE -lift END
         END, with_positive DESC, with_negative, f.id
WITH collect({name: f.id, with_positive: with_positive, n_positive: n_positive, with_negative: with_negative,
              n_negative: n_negative, mean_positive: influence_positive, mean_negative: influence_negative,
              auroc: auroc, lift: lift}) AS found
RETURN size(found) AS total, found[$skip .. $skip + $limit] AS rows
