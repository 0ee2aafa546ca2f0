// Which circuits share these features?
// Circuits that use the most of the features come first, then those where the features have the highest summed
// influence. n_unknown counts the circuits where the influence of one of the features is unknown: this influence is
// left out of the sum, and $min_influence leaves the feature out.
// $features: ids of features.
// $needed: how many of the features a circuit must use. 1 means any of them; the length of $features means all of
//   them.
// $min_influence: the least influence that each feature must have in the circuit; null means no limit.
// $kind: FeatureNode or LogitNode counts a feature only where it has a direct effect on a node of this label; null
//   means no condition.
// $circuits: ids of the circuits to choose from; null means all circuits.
// $units: for each circuit that shares its unit (such as its prompt) with other circuits, the unit; null counts
//   circuits. n_units counts the units of the circuits found.
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: total | rows | n_unknown | n_units
//   6 | [{circuit: "933408547af809ba96a3", uses: [{circuit: "933408547af809ba96a3", feature:
//     "organism-clt@247d388dcdf1/1/665", positions: [9], activation: 2.8, influence: 0.0388}], influence: 0.0388},
//     {circuit: "73b3327de94dd0b63096", uses: [{circuit: "73b3327de94dd0b63096", feature:
//     "organism-clt@247d388dcdf1/1/665", positions: [9], activation: 2.8, influence: 0.0338}], influence: 0.0338}, …
//     4 more] | 0 | 6
:param features => ["organism-clt@247d388dcdf1/1/665"];
:param needed => 1;
:param min_influence => null;
:param kind => null;
:param circuits => null;
:param units => null;
:param skip => 0;
:param limit => 20;

UNWIND $features AS key
WITH DISTINCT key
MATCH (c)-[u:USES]->(f:Feature {id: key})
WHERE ($min_influence IS NULL OR u.influence >= $min_influence)
  AND ($circuits IS NULL OR c.id IN $circuits)
  AND ($kind IS NULL OR EXISTS {
    UNWIND u.positions AS position
    MATCH (:Node {id: c.id + "/feature:" + f.layer + ":" + position + ":" + f.index
                + coalesce(":" + f.component, "")})-[:ATTRIBUTES]->(n:Node)
    WHERE $kind IN labels(n)
  })
WITH c, count(*) AS n, CASE WHEN count(u.influence) > 0 THEN sum(u.influence) END AS influence, collect(u) AS uses
WHERE n >= $needed
WITH c, n, influence, uses
ORDER BY n DESC, coalesce(influence, -1.0) DESC, c.id
WITH collect([c, influence, uses]) AS found
CALL (found) {
  UNWIND found[$skip .. $skip + $limit] AS row
  WITH row[0] AS c, row[1] AS influence, row[2] AS uses
  CALL (c, uses) {
    UNWIND uses AS u
    WITH c, u, endNode(u) AS f
    ORDER BY coalesce(u.influence, -1.0) DESC, f.id
    RETURN collect({circuit: c.id, feature: f.id, influence: u.influence, activation: u.activation,
                    positions: u.positions}) AS each
  }
  RETURN collect({circuit: c.id, influence: influence, uses: each}) AS rows
}
CALL () {
  UNWIND $features AS key
  MATCH (f:Feature {id: key})
  WHERE f.n_measured < f.n_circuits
  MATCH (c)-[u:USES]->(f)
  WHERE u.influence IS NULL AND ($circuits IS NULL OR c.id IN $circuits)
  RETURN count(DISTINCT c) AS n_unknown
}
CALL (found) {
  UNWIND CASE WHEN $units IS NULL THEN [] ELSE found END AS row
  RETURN count(DISTINCT coalesce($units[row[0].id], row[0].id)) AS n_units
}
RETURN size(found) AS total, rows, n_unknown,
       CASE WHEN $units IS NULL THEN size(found) ELSE n_units END AS n_units
