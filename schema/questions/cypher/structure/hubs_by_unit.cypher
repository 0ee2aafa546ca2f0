// Which features are hubs, when several circuits count as one?
// hubs.cypher counts circuits. Here a unit of circuits, such as those of one prompt, counts once: in n_circuits,
// n_considered, frequency and dense, and its influence is the mean over those of its circuits where it is known.
// n_unknown counts the listed features whose influence is unknown in all circuits that count. They come last by
//   influence.
// $by: frequency (share of the units of the set that have the feature), influence (summed over units) or degree
//   (number of features that it drives or that drive it in at least one circuit).
// $dense: true lists only dense features, false only the others; null means both.
// $dense_above: a feature is dense when more than this share of the units has it: between 0 and 1.
// $min_circuits: least number of units that have the feature.
// $families: names of families; only their circuits count. null means all circuits.
// $transcoders: ids of transcoder sets; null means all sets.
// $units: for each circuit that counts and shares its unit with others, the unit; null counts circuits.
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: total | rows | n_unknown
//   2163 | [{n_circuits: 53, feature: "organism-clt@247d388dcdf1/0/463", drives: 120, n_considered: 366, driven_by:
//     0, dense: false, influence: 1.62, frequency: 0.145}, {n_circuits: 53, feature:
//     "organism-clt@247d388dcdf1/0/866", drives: 212, n_considered: 366, driven_by: 0, dense: false, influence:
//     0.808, frequency: 0.145}, … 18 more] | null
:param by => "frequency";
:param dense => null;
:param dense_above => 0.5;
:param min_circuits => 1;
:param families => null;
:param transcoders => null;
:param units => null;
:param skip => 0;
:param limit => 20;

CALL () {
  // What the numbers of circuits count too much, set by set.
  UNWIND keys($units) AS id
  MATCH (:Circuit {id: id})-[:BY]->(t:TranscoderSet)
  WITH t, $units[id] AS unit, count(*) AS n
  WITH t, sum(n - 1) AS n
  RETURN collect([t, n]) AS repeated
}
CALL () {
  CALL () {
    // Every load keeps these sums up to date, for all circuits and for each family.
    WITH * WHERE $families IS NULL
    MATCH (f:Feature)
    WHERE f.n_circuits >= $min_circuits
    RETURN f, f.n_circuits AS n_circuits, f.n_measured AS n_measured, f.influence AS influence
  UNION ALL
    WITH * WHERE $families IS NOT NULL
    MATCH (y:Family)<-[i:FOUND_IN]-(f:Feature)
    WHERE y.name IN $families
    WITH f, i ORDER BY i.influence
    RETURN f, sum(i.n_circuits) AS n_circuits, sum(i.n_measured) AS n_measured, sum(i.influence) AS influence
  UNION ALL
    // They count each circuit: of each unit, leave one.
    UNWIND keys($units) AS id
    MATCH (c:Circuit {id: id})
    WITH $units[id] AS unit, c ORDER BY unit, id
    WITH unit, collect(c) AS circuits
    ORDER BY unit
    CALL (circuits) {
      UNWIND circuits AS c
      MATCH (c)-[u:USES]->(f:Feature)
      WHERE f.n_circuits >= $min_circuits
      RETURN f, count(*) AS n, count(u.influence) AS n_measured, sum(u.influence) AS influence
    }
    RETURN f, sum(1 - n) AS n_circuits, sum(CASE WHEN n_measured > 0 THEN 1 - n_measured ELSE 0 END) AS n_measured,
           sum(CASE WHEN n_measured > 0 THEN influence / n_measured - influence ELSE 0.0 END) AS influence
  }
  WITH f, sum(n_circuits) AS n_circuits, sum(n_measured) AS n_measured, sum(influence) AS influence
  WHERE n_circuits >= $min_circuits
  MATCH (f)-[:IN]->(t:TranscoderSet)
  WHERE $transcoders IS NULL OR t.id IN $transcoders
  RETURN t, collect([f, n_circuits, n_measured, influence]) AS features
}
CALL (t) {
  WITH t WHERE $families IS NULL
  RETURN COUNT { (t)<-[:BY]-() } AS n
UNION ALL
  WITH t WHERE $families IS NOT NULL
  MATCH (t)-[v:COVERS]->(y:Family)
  WHERE y.name IN $families
  WITH t, sum(v.n_circuits) AS n
  RETURN n
}
WITH features, n - coalesce(head([each IN repeated WHERE each[0] = t | each[1]]), 0) AS n_considered
UNWIND features AS each
WITH each[0] AS f, each[1] AS n_circuits, each[2] AS n_measured, each[3] AS influence, n_considered,
     toFloat(each[1]) / n_considered AS frequency
WHERE $dense IS NULL OR $dense = (frequency > $dense_above)
WITH f, n_circuits, n_measured, influence, n_considered, frequency,
     CASE WHEN $by = "degree" AND $families IS NULL THEN f.degree
          WHEN $by = "degree" THEN
            COUNT { MATCH (f)-[d:DRIVES_IN]->(g) WHERE d.family IN $families RETURN DISTINCT g }
            + COUNT { MATCH (f)<-[d:DRIVES_IN]-(g) WHERE d.family IN $families RETURN DISTINCT g }
     END AS degree
WITH collect([f, CASE $by
                WHEN "frequency" THEN frequency
                WHEN "degree" THEN toFloat(degree)
                WHEN "influence" THEN influence
              END, n_circuits, n_measured > 0, n_considered, influence]) AS hubs
CALL (hubs) {
  // Sort by size alone first. The query looks up what decides between equals only for features near the page.
  UNWIND hubs AS hub
  WITH hub[1] AS size
  ORDER BY size DESC
  WITH collect(size) AS sizes
  RETURN coalesce(sizes[$skip + $limit - 1], last(sizes)) AS least
}
CALL (hubs, least) {
  UNWIND hubs AS hub
  WITH hub[0] AS f, hub[1] AS size, hub[2] AS n_circuits, hub[3] AS known, hub[4] AS n_considered, hub[5] AS influence
  WHERE size >= least
  ORDER BY size DESC, $by = "influence" AND known DESC, n_circuits DESC, f.id
  SKIP $skip LIMIT $limit
  CALL (f) {
    WITH f WHERE $families IS NULL
    RETURN COUNT { (f)-[:DRIVES]->() } AS drives, COUNT { (f)<-[:DRIVES]-() } AS driven_by
  UNION ALL
    WITH f WHERE $families IS NOT NULL
    RETURN COUNT { MATCH (f)-[d:DRIVES_IN]->(g) WHERE d.family IN $families RETURN DISTINCT g } AS drives,
           COUNT { MATCH (f)<-[d:DRIVES_IN]-(g) WHERE d.family IN $families RETURN DISTINCT g } AS driven_by
  }
  WITH f, n_circuits, n_considered, known, influence, drives, driven_by, toFloat(n_circuits) / n_considered AS frequency
  RETURN collect({feature: f.id, n_circuits: n_circuits, n_considered: n_considered, frequency: frequency,
                  dense: frequency > $dense_above, influence: CASE WHEN known THEN influence END, drives: drives,
                  driven_by: driven_by}) AS rows
}
RETURN size(hubs) AS total, rows, CASE $by WHEN "influence" THEN size([hub IN hubs WHERE NOT hub[3]]) END AS n_unknown
