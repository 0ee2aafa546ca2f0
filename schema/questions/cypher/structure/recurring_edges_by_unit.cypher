// Which features does a feature drive, or which features drive it, when several circuits count as one?
// recurring_edges.cypher counts circuits. Here a unit of circuits, such as those of one prompt, counts once: it has an
// effect if one of its circuits has it, and its weight is the mean over these circuits. circuits_of_both.cypher counts
// the units that have both features: the denominator of n_circuits.
// $keys: ids of features.
// $direction: out (features that the feature drives) or in (features that drive the feature).
// $min_circuits: least number of units that have the effect.
// $units: for each circuit that shares its unit with other circuits, the unit; null counts circuits.
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: key | total | rows
//   "organism-clt@247d388dcdf1/1/665" | 7 | [{sd: 0.0196, n_circuits: 6, feature: "organism-clt@247d388dcdf1/4/1191",
//     sign_consistency: 1, mean: 0.161}, {sd: 0.0186, n_circuits: 6, feature: "organism-clt@247d388dcdf1/3/1262",
//     sign_consistency: 1, mean: 0.145}, … 5 more]
:param keys => ["organism-clt@247d388dcdf1/1/665"];
:param direction => "out";
:param min_circuits => 1;
:param units => null;
:param skip => 0;
:param limit => 20;

UNWIND $keys AS key
CALL (key) {
  // The sums count each circuit. Take the circuits that share their unit out, and put the mean of each unit in.
  MATCH (f:Feature {id: key})
  CALL (f) {
    WITH f WHERE $direction = "out"
    MATCH (f)-[d:DRIVES]->(g:Feature)
    WHERE d.n_circuits >= $min_circuits
    RETURN g, d, null AS units
  UNION ALL
    WITH f WHERE $direction = "in"
    MATCH (f)<-[d:DRIVES]-(g:Feature)
    WHERE d.n_circuits >= $min_circuits
    RETURN g, d, null AS units
  UNION ALL
    MATCH (f)<-[:INSTANCE_OF]-(n:FeatureNode)<-[:HAS]-(c:Circuit)
    WHERE $units[c.id] IS NOT NULL
    CALL (n) {
      WITH n WHERE $direction = "out"
      MATCH (n)-[e:ATTRIBUTES]->(:FeatureNode)-[:INSTANCE_OF]->(g:Feature)
      WHERE g.n_circuits >= $min_circuits
      RETURN g, e.weight AS weight
    UNION ALL
      WITH n WHERE $direction = "in"
      MATCH (n)<-[e:ATTRIBUTES]-(:FeatureNode)-[:INSTANCE_OF]->(g:Feature)
      WHERE g.n_circuits >= $min_circuits
      RETURN g, e.weight AS weight
    }
    // In one fixed order, so that sums do not depend on how the circuits are stored.
    WITH c, g, weight ORDER BY weight
    WITH c, g, sum(weight) AS weight
    ORDER BY c.id
    WITH g, $units[c.id] AS unit, collect(weight) AS weights, avg(weight) AS mean
    ORDER BY unit
    RETURN g, null AS d, collect({mean: mean, weights: weights}) AS units
  }
  WITH g, head(collect(d)) AS d, coalesce(head(collect(units)), []) AS units
  WITH *, reduce(n = 0, unit IN units | n + size(unit.weights)) AS n_gone
  WITH *, d.n_circuits - n_gone + size(units) AS n_circuits
  WHERE n_circuits >= $min_circuits
  // Deviations are measured from the mean before, so that little is lost when nearly all circuits go.
  WITH *, CASE WHEN d.n_circuits = n_gone THEN reduce(sum = 0.0, unit IN units | sum + unit.mean) / n_circuits
       ELSE d.mean + reduce(sum = 0.0, unit IN units | sum + (unit.mean - d.mean)
                            - reduce(part = 0.0, w IN unit.weights | part + (w - d.mean))) / n_circuits END AS mean
  WITH *, CASE WHEN d.n_circuits = n_gone THEN reduce(m2 = 0.0, unit IN units | m2 + (unit.mean - mean) ^ 2)
       ELSE reduce(m2 = d.m2, unit IN units | m2 + (unit.mean - d.mean) ^ 2
                   - reduce(part = 0.0, w IN unit.weights | part + (w - d.mean) ^ 2))
            - n_circuits * (mean - d.mean) ^ 2 END AS m2,
       reduce(n = d.n_positive, unit IN units | n + CASE WHEN unit.mean > 0 THEN 1 ELSE 0 END
              - size([w IN unit.weights WHERE w > 0])) AS positive,
       reduce(n = d.n_negative, unit IN units | n + CASE WHEN unit.mean < 0 THEN 1 ELSE 0 END
              - size([w IN unit.weights WHERE w < 0])) AS negative
  WITH g, n_circuits, mean, CASE WHEN m2 > 0 THEN sqrt(m2 / n_circuits) ELSE 0.0 END AS sd,
       toFloat(CASE WHEN positive > negative THEN positive ELSE negative END) / n_circuits AS sign_consistency
  ORDER BY n_circuits DESC, abs(mean) DESC, g.id
  RETURN collect([g, n_circuits, mean, sd, sign_consistency]) AS found
}
RETURN key, size(found) AS total,
       [row IN found[$skip .. $skip + $limit] |
         {feature: row[0].id, n_circuits: row[1], mean: row[2], sd: row[3], sign_consistency: row[4]}] AS rows
