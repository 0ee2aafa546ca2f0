// Which features push these tokens most over many circuits, and which suppress them?
// Only direct effects count: the edges from a feature's nodes to the logit nodes of the tokens. In one circuit the
// weights of a feature are summed over its positions and over the logits; `mean` and `sum` are over the n_circuits
// circuits where it has such an effect. `share` is the part of the logit's input that comes from the feature, summed
// over positions and averaged over the logits that it acts on, then over circuits; null when unknown. n_considered
// counts the circuits that have such a logit and were made with the feature's transcoder set. n_with_logit counts the
// circuits of all sets that have such a logit, n_units_with_logit their units.
// $tokens: texts of tokens; spaces count. $token_ids: ids in the vocabulary. A logit fits when it has one of either.
// $circuits: ids of circuits; null means all circuits.
// $units: for each circuit that shares its unit (such as its prompt) with other circuits, the unit; null counts
//   circuits. A unit has an effect if one of its circuits has it; its weight and share are means over these circuits.
// $min_circuits: least number of circuits in which the feature has such an effect.
// $order: promotes (greatest mean first), suppresses (least mean first) or absolute (greatest |mean| first).
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: total | rows | n_with_logit | n_units_with_logit
//   20 | [{n_circuits: 3, feature: "organism-clt@247d388dcdf1/3/1262", sign_consistency: 1, mean: 2.36, n_suppresses:
//     0, n_considered: 3, share: 0.071, sum: 7.08, n_promotes: 3}, {n_circuits: 3, feature:
//     "organism-clt@247d388dcdf1/3/1244", sign_consistency: 1, mean: 1.76, n_suppresses: 0, n_considered: 3, share:
//     0.0534, sum: 5.29, n_promotes: 3}, … 18 more] | 3 | 3
:param tokens => ["texas", "austin"];
:param token_ids => [];
:param circuits => null;
:param units => null;
:param min_circuits => 2;
:param order => "promotes";
:param skip => 0;
:param limit => 20;

CALL () {
  WITH * WHERE $circuits IS NULL
  MATCH (c:Circuit)-[:HAS]->(l:LogitNode)
  WHERE l.token IN $tokens OR l.index IN $token_ids
  RETURN c, l
UNION ALL
  UNWIND $circuits AS id
  MATCH (c:Circuit {id: id})
  // The ids of a circuit's logits begin like this, which the index finds.
  MATCH (l:Node) WHERE l.id STARTS WITH id + "/logit:" AND (l.token IN $tokens OR l.index IN $token_ids)
  RETURN c, l
}
WITH c, collect(l) AS logits
MATCH (c)-[:BY]->(t:TranscoderSet)
// In one fixed order, so that sums do not depend on how the question is asked.
WITH t, coalesce($units[c.id], c.id) AS unit, c, logits
ORDER BY unit, c.id
WITH t, unit, collect(logits) AS having
ORDER BY unit
WITH t, collect({name: unit, having: having}) AS units
WITH collect(units) AS sets
CALL (sets) {
  UNWIND sets AS units
  UNWIND units AS unit
  RETURN sum(size(unit.having)) AS n_with_logit, count(DISTINCT unit.name) AS n_units_with_logit
}
CALL (sets) {
  UNWIND sets AS units
  WITH units, size(units) AS n_considered
  CALL (units) {
    UNWIND units AS unit
    CALL (unit) {
      UNWIND unit.having AS logits
      CALL (logits) {
        UNWIND logits AS l
        MATCH (l)<-[e:ATTRIBUTES]-(n:FeatureNode)-[:INSTANCE_OF]->(f:Feature)
        WITH f, l, e ORDER BY e.weight
        RETURN f, sum(e.weight) AS weight,
               CASE WHEN count(e.share) = count(e) THEN sum(e.share) / count(DISTINCT l) END AS share
      }
      RETURN f, avg(weight) AS weight, avg(share) AS share
    }
    RETURN f, count(*) AS n_circuits, sum(weight) AS sum, avg(weight) AS mean, avg(share) AS share,
           count(CASE WHEN weight > 0 THEN 1 END) AS n_promotes, count(CASE WHEN weight < 0 THEN 1 END) AS n_suppresses
  }
  WITH f, n_considered, n_circuits, sum, mean, share, n_promotes, n_suppresses
  WHERE n_circuits >= $min_circuits
  // Rounded, so that means that differ only by the order of addition are equal, and pages do not overlap.
  WITH *, round(mean, 9) AS place
  ORDER BY CASE $order WHEN "promotes" THEN -place WHEN "suppresses" THEN place ELSE -abs(place) END,
           n_circuits DESC, f.id
  RETURN collect({feature: f.id, n_circuits: n_circuits, n_considered: n_considered, mean: mean, sum: sum,
                  share: share, n_promotes: n_promotes, n_suppresses: n_suppresses,
                  sign_consistency: toFloat(CASE WHEN n_promotes > n_suppresses THEN n_promotes ELSE n_suppresses END)
                                    / n_circuits}) AS found
}
RETURN size(found) AS total, found[$skip .. $skip + $limit] AS rows, n_with_logit, n_units_with_logit
