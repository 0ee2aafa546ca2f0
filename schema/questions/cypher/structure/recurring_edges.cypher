// Which features does a feature drive, or which features drive it, and in how many circuits?
// circuits_of_both.cypher counts the circuits that have both features: the denominator of n_circuits.
// $keys: ids of features.
// $direction: out (features that the feature drives) or in (features that drive the feature).
// $min_circuits: least number of circuits that have the effect.
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: key | total | rows
//   "organism-clt@247d388dcdf1/1/665" | 7 | [{sd: 0.0196, n_circuits: 6, feature: "organism-clt@247d388dcdf1/4/1191",
//     sign_consistency: 1, mean: 0.161}, {sd: 0.0186, n_circuits: 6, feature: "organism-clt@247d388dcdf1/3/1262",
//     sign_consistency: 1, mean: 0.145}, … 5 more]
:param keys => ["organism-clt@247d388dcdf1/1/665"];
:param direction => "out";
:param min_circuits => 1;
:param skip => 0;
:param limit => 20;

UNWIND $keys AS key
CALL (key) {
  CALL (key) {
    WITH key WHERE $direction = "out"
    MATCH (:Feature {id: key})-[d:DRIVES]->(g:Feature)
    WHERE d.n_circuits >= $min_circuits
    RETURN d, g
  UNION ALL
    WITH key WHERE $direction = "in"
    MATCH (:Feature {id: key})<-[d:DRIVES]-(g:Feature)
    WHERE d.n_circuits >= $min_circuits
    RETURN d, g
  }
  WITH d, g
  ORDER BY d.n_circuits DESC, abs(d.mean) DESC, g.id
  RETURN collect([d, g]) AS found
}
RETURN key, size(found) AS total,
       [pair IN found[$skip .. $skip + $limit] |
         {feature: pair[1].id, n_circuits: pair[0].n_circuits, mean: pair[0].mean, sd: pair[0].sd,
          sign_consistency: pair[0].sign_consistency}] AS rows
