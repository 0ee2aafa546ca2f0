// Which features are hubs?
// A feature is dense when more than $dense_above of the circuits of its transcoder set have it.
// n_unknown counts the listed features whose influence is unknown in all circuits that count. They come last by
//   influence.
// $by: frequency (share of the circuits of the set that have the feature), influence (summed over circuits) or degree
//   (number of features that it drives or that drive it).
// $dense: true lists only dense features, false only the others; null means both.
// $dense_above: between 0 and 1.
// $min_circuits: least number of circuits that have the feature.
// $families: names of families; only their circuits count. null means all circuits.
// $transcoders: ids of transcoder sets; null means all sets.
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
:param skip => 0;
:param limit => 20;

CALL () {
  // Every load keeps these sums up to date, and their indexes sort them.
  WITH * WHERE $by = "influence" AND $dense IS NULL AND $families IS NULL AND $transcoders IS NULL
  CALL () { MATCH (f:Feature) WHERE f.n_circuits >= $min_circuits RETURN count(*) AS total }
  CALL () {
    MATCH (f:Feature)
    USING INDEX f:Feature(influence)
    WHERE f.influence IS NOT NULL AND f.n_circuits >= $min_circuits
    WITH f.influence AS influence
    ORDER BY influence DESC LIMIT $skip + $limit
    RETURN min(influence) AS least
  }
  CALL (least) {
    MATCH (f:Feature)
    USING INDEX f:Feature(influence)
    WHERE f.influence >= least AND f.n_circuits >= $min_circuits
    WITH f
    ORDER BY f.influence DESC, f.n_measured > 0 DESC, f.n_circuits DESC, f.id
    RETURN collect(f) AS found
  }
  CALL () { MATCH (f:Feature) WHERE f.n_measured = 0 AND f.n_circuits >= $min_circuits RETURN count(*) AS n_unknown }
  RETURN total, found, n_unknown
UNION ALL
  WITH * WHERE $by = "degree" AND $dense IS NULL AND $families IS NULL AND $transcoders IS NULL
  CALL () { MATCH (f:Feature) WHERE f.n_circuits >= $min_circuits RETURN count(*) AS total }
  CALL () {
    MATCH (f:Feature)
    USING INDEX f:Feature(degree)
    WHERE f.degree IS NOT NULL AND f.n_circuits >= $min_circuits
    WITH f.degree AS degree
    ORDER BY degree DESC LIMIT $skip + $limit
    RETURN min(degree) AS least
  }
  CALL (least) {
    MATCH (f:Feature)
    USING INDEX f:Feature(degree)
    WHERE f.degree >= least AND f.n_circuits >= $min_circuits
    WITH f
    ORDER BY f.degree DESC, f.n_circuits DESC, f.id
    RETURN collect(f) AS found
  }
  RETURN total, found, null AS n_unknown
UNION ALL
  WITH * WHERE $by = "frequency" AND $dense IS NULL AND $families IS NULL AND $transcoders IS NULL
  CALL () { MATCH (f:Feature) WHERE f.n_circuits >= $min_circuits RETURN count(*) AS total }
  CALL () { MATCH (t:TranscoderSet) RETURN collect([t, COUNT { (t)<-[:BY]-() }]) AS sets }
  CALL (sets) {
    UNWIND sets AS each
    CALL (each) {
      WITH each, each[0] AS t
      MATCH (f:Feature)
      USING INDEX f:Feature(n_circuits)
      WHERE f.n_circuits >= $min_circuits AND EXISTS { (f)-[:IN]->(t) }
      WITH f.n_circuits AS n_circuits, each
      ORDER BY n_circuits DESC LIMIT $skip + $limit
      RETURN toFloat(n_circuits) / each[1] AS frequency
    }
    WITH frequency
    ORDER BY frequency DESC LIMIT $skip + $limit
    RETURN min(frequency) AS least
  }
  CALL (sets, least) {
    UNWIND sets AS each
    CALL (each, least) {
      WITH each, least, each[0] AS t, least * each[1] - 0.5 AS bound
      MATCH (f:Feature)
      USING INDEX f:Feature(n_circuits)
      WHERE f.n_circuits >= bound AND f.n_circuits >= $min_circuits AND EXISTS { (f)-[:IN]->(t) }
      WITH f, toFloat(f.n_circuits) / each[1] AS frequency, least
      WHERE frequency >= least
      RETURN f, frequency
    }
    WITH f, frequency
    ORDER BY frequency DESC, f.n_circuits DESC, f.id
    RETURN collect(f) AS found
  }
  RETURN total, found, null AS n_unknown
UNION ALL
  // Whether a feature is dense depends on the circuits of its set; with families, only their circuits count.
  WITH * WHERE $dense IS NOT NULL OR $families IS NOT NULL OR $transcoders IS NOT NULL
  CALL () {
    MATCH (t:TranscoderSet)
    WHERE $transcoders IS NULL OR t.id IN $transcoders
    CALL (t) {
      WITH t WHERE $families IS NULL
      WITH t, COUNT { (t)<-[:BY]-() } AS n_considered
      MATCH (f:Feature)-[:IN]->(t)
      RETURN f, n_considered, f.n_circuits AS n_circuits, f.n_measured AS n_measured, f.influence AS influence,
             f.degree AS degree
    UNION ALL
      WITH t WHERE $families IS NOT NULL
      CALL (t) {
        MATCH (t)-[v:COVERS]->(y:Family)
        WHERE y.name IN $families
        RETURN sum(v.n_circuits) AS n_considered
      }
      MATCH (y:Family)<-[i:FOUND_IN]-(f:Feature)-[:IN]->(t)
      WHERE y.name IN $families
      WITH f, n_considered, i ORDER BY i.influence
      WITH f, n_considered, sum(i.n_circuits) AS n_circuits, sum(i.n_measured) AS n_measured,
           sum(i.influence) AS influence
      RETURN f, n_considered, n_circuits, n_measured, influence,
             CASE $by WHEN "degree" THEN
               COUNT { MATCH (f)-[d:DRIVES_IN]->(g) WHERE d.family IN $families RETURN DISTINCT g }
               + COUNT { MATCH (f)<-[d:DRIVES_IN]-(g) WHERE d.family IN $families RETURN DISTINCT g }
             END AS degree
    }
    WITH f, n_considered, n_circuits, n_measured, influence, degree
    WHERE n_circuits >= $min_circuits
      AND ($dense IS NULL OR $dense = (toFloat(n_circuits) / n_considered > $dense_above))
    RETURN collect([f, CASE $by
                      WHEN "frequency" THEN toFloat(n_circuits) / n_considered
                      WHEN "degree" THEN toFloat(degree)
                      WHEN "influence" THEN influence
                    END, n_circuits, n_measured > 0]) AS hubs
  }
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
    WITH hub[0] AS f, hub[1] AS size, hub[2] AS n_circuits, hub[3] AS known
    WHERE size >= least
    ORDER BY size DESC, $by = "influence" AND known DESC, n_circuits DESC, f.id
    RETURN collect(f) AS found
  }
  RETURN size(hubs) AS total, found,
         CASE $by WHEN "influence" THEN size([hub IN hubs WHERE NOT hub[3]]) END AS n_unknown
}
CALL (found) {
  UNWIND found[$skip .. $skip + $limit] AS f
  MATCH (f)-[:IN]->(t:TranscoderSet)
  CALL (f, t) {
    WITH f, t WHERE $families IS NULL
    RETURN COUNT { (t)<-[:BY]-() } AS n_considered, f.n_circuits AS n_circuits, f.n_measured AS n_measured,
           f.influence AS influence, COUNT { (f)-[:DRIVES]->() } AS drives, COUNT { (f)<-[:DRIVES]-() } AS driven_by
  UNION ALL
    WITH f, t WHERE $families IS NOT NULL
    MATCH (t)-[v:COVERS]->(y:Family)
    WHERE y.name IN $families
    OPTIONAL MATCH (f)-[i:FOUND_IN]->(y)
    WITH f, v, i ORDER BY i.influence
    WITH f, sum(v.n_circuits) AS n_considered, sum(i.n_circuits) AS n_circuits, sum(i.n_measured) AS n_measured,
         sum(i.influence) AS influence
    RETURN n_considered, n_circuits, n_measured, influence,
           COUNT { MATCH (f)-[d:DRIVES_IN]->(g) WHERE d.family IN $families RETURN DISTINCT g } AS drives,
           COUNT { MATCH (f)<-[d:DRIVES_IN]-(g) WHERE d.family IN $families RETURN DISTINCT g } AS driven_by
  }
  WITH f, n_considered, n_circuits, n_measured, influence, drives, driven_by,
       toFloat(n_circuits) / n_considered AS frequency
  RETURN collect({feature: f.id, n_circuits: n_circuits, n_considered: n_considered, frequency: frequency,
                  dense: frequency > $dense_above, influence: CASE WHEN n_measured > 0 THEN influence END,
                  drives: drives, driven_by: driven_by}) AS rows
}
RETURN total, rows, n_unknown
