// Which features distinguish two sets of circuits?
// AUROC is the probability that the feature has more influence in a random circuit of $positive than in a random
// circuit of $negative; ties count half. Circuits without the feature rank lowest, and circuits where its influence
// is unknown rank next. Only circuits made with the feature's own transcoder set count.
// n_unknown counts the listed features whose influence is unknown in all circuits of both sets; null where influence
// does not order the list.
// $positive, $negative: ids of the circuits of the two sets.
// $units: for each circuit that shares its unit (such as its prompt) with other circuits, the unit; null counts
//   circuits. A unit has what one of its circuits has, and its value is the mean over these circuits.
// $min_circuits: least number of circuits of both sets together that have it.
// $order: auroc (highest first), separation (furthest from 0.5 first) or lift (share of the positive circuits / share
//   of the negative circuits; features that no negative circuit has come first).
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: total | rows | n_unknown
//   29 | [{with_positive: 2, with_negative: 0, name: "organism-clt@247d388dcdf1/1/1339", lift: null, n_negative: 2,
//     n_positive: 2, mean_negative: null, mean_positive: 0.033, auroc: 1}, {with_positive: 2, with_negative: 0, name:
//     "organism-clt@247d388dcdf1/1/1369", lift: null, n_negative: 2, n_positive: 2, mean_negative: null,
//     mean_positive: 0.0235, auroc: 1}, … 18 more] | 0
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
CALL (sets) {
  CALL () {
    WITH * WHERE $units IS NULL
    MATCH (c:Circuit)
    WHERE c.id IN $positive OR c.id IN $negative
    WITH c, CASE WHEN c.id IN $positive THEN 1 ELSE 0 END AS side
    MATCH (c)-[u:USES]->(f)
    RETURN f, u.influence AS influence, side
  UNION ALL
    WITH * WHERE $units IS NOT NULL
    MATCH (c:Circuit)
    WHERE c.id IN $positive OR c.id IN $negative
    WITH c, CASE WHEN c.id IN $positive THEN 1 ELSE 0 END AS side
    MATCH (c)-[u:USES]->(f)
    WITH f, side, coalesce($units[c.id], c.id) AS unit, avg(u.influence) AS influence
    RETURN f, influence, side
  }
  WITH sets, f, collect([influence, side]) AS uses, sum(side) AS p, count(influence) AS known
  WHERE size(uses) >= $min_circuits
  MATCH (f)-[:IN]->(t:TranscoderSet)
  WITH head([s IN sets WHERE s.set = t]) AS counts, p, size(uses) - p AS q, collect([f, uses]) AS members,
       count(CASE known WHEN 0 THEN 1 END) AS unknown
  WITH counts.positive AS n_positive, counts.negative AS n_negative, p, q, members, unknown
  WITH *, CASE WHEN q > 0 AND n_positive > 0 THEN toFloat(p) * n_negative / (n_positive * q) END AS lift,
       p * (n_negative - q) + (n_positive - p) * (n_negative - q) / 2.0 AS won,
       CASE WHEN n_positive > 0 AND n_negative > 0 THEN n_positive * n_negative END AS pairs
  // The highest and lowest AUROC that these features can have. Their counts leave only one thing open: how the
  // positive circuits that have a feature compare with the negative circuits that have it.
  WITH *, won / pairs AS low, (won + p * q) / pairs AS high
  WITH *, CASE $order
         WHEN "auroc" THEN [coalesce(low, -1.0), coalesce(high, -1.0)]
         WHEN "separation" THEN CASE
           WHEN low >= 0.5 THEN [low - 0.5, high - 0.5]
           WHEN high <= 0.5 THEN [0.5 - high, 0.5 - low]
           ELSE [0.0, coalesce(CASE WHEN low + high > 1.0 THEN high - 0.5 ELSE 0.5 - low END, 0.0)]
         END
         WHEN "lift" THEN CASE WHEN n_negative = 0 THEN [-1.0] WHEN lift IS NULL THEN [1.0e300] ELSE [lift] END
       END AS reach
  ORDER BY head(reach) DESC
  RETURN collect({p: p, q: q, n_positive: n_positive, n_negative: n_negative, lift: lift, members: members,
                  unknown: unknown, worst: head(reach), best: last(reach)}) AS groups
}
WITH groups, reduce(n = 0, g IN groups | n + size(g.members)) AS total,
     reduce(n = 0, g IN groups | n + g.unknown) AS unknown,
     // The rank that fills the page when every feature has its lowest AUROC.
     reduce(state = [0, null], g IN groups | CASE WHEN state[0] < $skip + $limit
       THEN [state[0] + size(g.members), g.worst] ELSE state END)[1] AS least
CALL (groups, least) {
  UNWIND groups AS g
  WITH g WHERE g.best >= least
  UNWIND g.members AS member
  WITH g, member[0] AS f, member[1] AS uses
  CALL (uses) {
    UNWIND uses AS use
    WITH use[0] AS influence, sum(use[1]) AS positive, sum(1 - use[1]) AS negative
    ORDER BY coalesce(influence, -1.0)
    RETURN collect([influence, positive, negative]) AS steps
  }
  WITH g, f, steps, [step IN steps WHERE step[0] IS NOT NULL] AS known
  WITH g, f,
       reduce(sum = 0.0, step IN known | sum + step[0] * step[1]) AS sum_positive,
       reduce(sum = 0.0, step IN known | sum + step[0] * step[2]) AS sum_negative,
       reduce(n = 0, step IN known | n + step[1]) AS known_positive,
       reduce(n = 0, step IN known | n + step[2]) AS known_negative,
       // Go up the ranks with [negative circuits so far, pairs that the positive circuit won].
       reduce(state = [g.n_negative - g.q, (g.n_positive - g.p) * (g.n_negative - g.q) / 2.0], step IN steps |
         [state[0] + step[2], state[1] + step[1] * (state[0] + step[2] / 2.0)])[1] AS won
  WITH g, f,
       CASE WHEN known_positive > 0 THEN sum_positive / known_positive END AS influence_positive,
       CASE WHEN known_negative > 0 THEN sum_negative / known_negative END AS influence_negative,
       CASE WHEN g.n_positive > 0 AND g.n_negative > 0 THEN won / (g.n_positive * g.n_negative) END AS auroc
  ORDER BY CASE $order
             WHEN "auroc" THEN -coalesce(auroc, -1.0)
             WHEN "separation" THEN -abs(coalesce(auroc, 0.5) - 0.5)
             WHEN "lift" THEN CASE WHEN g.n_negative = 0 THEN 1.0 WHEN g.lift IS NULL THEN -1.0e300 ELSE -g.lift END
           END, g.p DESC, g.q, f.id
  RETURN collect({name: f.id, with_positive: g.p, n_positive: g.n_positive, with_negative: g.q,
                  n_negative: g.n_negative, mean_positive: influence_positive, mean_negative: influence_negative,
                  auroc: auroc, lift: g.lift}) AS found
}
// Sorted above without LIMIT: a download's would count all that is held for each of its rows.
RETURN total, found[$skip .. $skip + $limit] AS rows, CASE WHEN $order <> "lift" THEN unknown END AS n_unknown
