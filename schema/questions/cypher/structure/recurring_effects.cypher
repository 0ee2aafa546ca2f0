// Which direct effects between features recur, over all circuits or the circuits of some families?
// `both` counts the circuits that have both features: the denominator of n_circuits. It is null unless $denominators
// is true.
// $families: names of families; null means all families.
// $transcoders: ids of transcoder sets; null means all sets.
// $min_circuits: least number of circuits that have the effect.
// $sign_consistency: least share of these circuits where the effect has its more common sign, between 0 and 1.
// $order: circuits (most circuits first), weight (greatest |mean| first) or share (greatest n_circuits / both first).
// $denominators: true counts `both`, which takes longer than the rest of the question.
// $units: for each circuit that shares its unit (such as its prompt) with other circuits, the unit; null counts
//   circuits. A unit has an effect if one of its circuits has it; its weight is the mean over these circuits.
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: total | rows
//   15748 | [{sd: 0.0482, n_circuits: 28, sign_consistency: 1, mean: 0.676, source:
//     "organism-clt@247d388dcdf1/0/742", both: 28, target: "organism-clt@247d388dcdf1/3/330"}, {sd: 0.0248,
//     n_circuits: 28, sign_consistency: 1, mean: 0.342, source: "organism-clt@247d388dcdf1/0/562", both: 28, target:
//     "organism-clt@247d388dcdf1/3/330"}, … 18 more]
:param families => null;
:param transcoders => null;
:param min_circuits => 2;
:param sign_consistency => 0.9;
:param order => "circuits";
:param denominators => true;
:param units => null;
:param skip => 0;
:param limit => 20;

CALL () {
  // Every load keeps the effects up to date, for all circuits and for each family, and an index sorts them.
  WITH * WHERE $units IS NULL AND $families IS NULL AND $transcoders IS NULL AND $order = "circuits"
  CALL () {
    MATCH ()-[d:DRIVES]->()
    WHERE d.n_circuits >= $min_circuits AND d.sign_consistency >= $sign_consistency
    RETURN count(*) AS total
  }
  CALL () {
    MATCH ()-[d:DRIVES]->()
    WHERE d.n_circuits >= $min_circuits AND d.sign_consistency >= $sign_consistency
    WITH d.n_circuits AS n_circuits
    ORDER BY n_circuits DESC LIMIT $skip + $limit
    RETURN min(n_circuits) AS least
  }
  CALL (least) {
    MATCH (f)-[d:DRIVES]->(g)
    WHERE d.n_circuits >= least AND d.sign_consistency >= $sign_consistency
    WITH f, g, d
    ORDER BY d.n_circuits DESC, abs(d.mean) DESC, f.id, g.id
    SKIP $skip LIMIT $limit
    RETURN collect([f, g, d.n_circuits, d.mean, d.sd, d.sign_consistency]) AS page
  }
  RETURN total, page
UNION ALL
  WITH head($families) AS family
  WHERE $units IS NULL AND size($families) = 1 AND $transcoders IS NULL AND $order = "circuits"
  CALL (family) {
    MATCH ()-[d:DRIVES_IN]->()
    WHERE d.family = family AND d.n_circuits >= $min_circuits AND d.sign_consistency >= $sign_consistency
    RETURN count(*) AS total
  }
  CALL (family) {
    MATCH ()-[d:DRIVES_IN]->()
    WHERE d.family = family AND d.n_circuits >= $min_circuits AND d.sign_consistency >= $sign_consistency
    WITH d.n_circuits AS n_circuits
    ORDER BY n_circuits DESC LIMIT $skip + $limit
    RETURN min(n_circuits) AS least
  }
  CALL (family, least) {
    MATCH (f)-[d:DRIVES_IN]->(g)
    WHERE d.family = family AND d.n_circuits >= least AND d.sign_consistency >= $sign_consistency
    WITH f, g, d
    ORDER BY d.n_circuits DESC, abs(d.mean) DESC, f.id, g.id
    SKIP $skip LIMIT $limit
    RETURN collect([f, g, d.n_circuits, d.mean, d.sd, d.sign_consistency]) AS page
  }
  RETURN total, page
UNION ALL
  WITH * WHERE $units IS NOT NULL OR $transcoders IS NOT NULL OR size($families) <> 1 OR $order <> "circuits"
  CALL () {
    WITH * WHERE $units IS NULL AND $families IS NULL
    MATCH (f)-[d:DRIVES]->(g)
    WHERE d.n_circuits >= $min_circuits AND d.sign_consistency >= $sign_consistency
    RETURN f, g, d.n_circuits AS n_circuits, d.mean AS mean, d.sd AS sd, d.sign_consistency AS sign_consistency
  UNION ALL
    WITH $families AS families WHERE $units IS NULL AND size(families) = 1
    MATCH (f)-[d:DRIVES_IN]->(g)
    WHERE d.family = families[0] AND d.n_circuits >= $min_circuits AND d.sign_consistency >= $sign_consistency
    RETURN f, g, d.n_circuits AS n_circuits, d.mean AS mean, d.sd AS sd, d.sign_consistency AS sign_consistency
  UNION ALL
    WITH $families AS families WHERE $units IS NULL AND size(families) <> 1
    MATCH (f)-[d:DRIVES_IN]->(g)
    // Neo4j uses an index only when the query has a condition on each of its properties.
    WHERE d.family IN families AND d.n_circuits >= 1 AND d.sign_consistency >= 0
    WITH f, g, collect(d) AS parts, sum(d.n_circuits) AS n_circuits, sum(d.n_circuits * d.mean) AS total,
         sum(d.n_positive) AS positive, sum(d.n_negative) AS negative
    WHERE n_circuits >= $min_circuits
    WITH f, g, parts, n_circuits, total / n_circuits AS mean,
         toFloat(CASE WHEN positive > negative THEN positive ELSE negative END) / n_circuits AS sign_consistency
    WHERE sign_consistency >= $sign_consistency
    WITH f, g, n_circuits, mean, sign_consistency,
         sqrt(reduce(m2 = 0.0, d IN parts | m2 + d.m2 + d.n_circuits * (d.mean - mean) ^ 2) / n_circuits) AS sd
    RETURN f, g, n_circuits, mean, sd, sign_consistency
  UNION ALL
    // The sums count each circuit. Take the circuits that share their unit out, and put the mean of each unit in.
    WITH * WHERE $units IS NOT NULL
    CALL () {
      WITH * WHERE $families IS NULL
      MATCH (f)-[d:DRIVES]->(g)
      WHERE d.n_circuits >= $min_circuits AND d.sign_consistency >= 0
      RETURN f, g, d, null AS gone, null AS added
    UNION ALL
      UNWIND $families AS family
      MATCH (f)-[d:DRIVES_IN]->(g)
      WHERE d.family = family AND d.n_circuits >= 1 AND d.sign_consistency >= 0
      RETURN f, g, d, null AS gone, null AS added
    UNION ALL
      UNWIND keys($units) AS id
      MATCH (c:Circuit {id: id})
      WHERE $families IS NULL
         OR EXISTS { (c)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(y:Family) WHERE y.name IN $families }
      CALL (c) {
        // A feature of few circuits has no effect in many.
        MATCH (c)-[:HAS]->(m:FeatureNode)-[:INSTANCE_OF]->(g:Feature)
        WHERE g.n_circuits >= $min_circuits
        MATCH (n:FeatureNode)-[e:ATTRIBUTES]->(m)
        WITH n, g, sum(e.weight) AS weight
        MATCH (n)-[:INSTANCE_OF]->(f:Feature)
        WHERE f.n_circuits >= $min_circuits
        RETURN f, g, sum(weight) AS weight
      }
      WITH f, g, $units[c.id] AS unit, collect(weight) AS weights, avg(weight) AS mean
      RETURN f, g, null AS d, reduce(all = [], each IN collect(weights) | all + each) AS gone, collect(mean) AS added
    }
    WITH f, g, collect(d) AS parts, coalesce(head(collect(gone)), []) AS gone, coalesce(head(collect(added)), []) AS added
    WITH f, g, parts, gone, added, reduce(n = 0, d IN parts | n + d.n_circuits) AS whole
    WITH f, g, parts, gone, added, whole, whole - size(gone) + size(added) AS n_circuits
    WHERE whole > 0 AND n_circuits >= $min_circuits
    WITH *, reduce(sum = 0.0, d IN parts | sum + d.n_circuits * d.mean) / whole AS before,
         reduce(n = 0, d IN parts | n + d.n_positive) + size([w IN added WHERE w > 0]) - size([w IN gone WHERE w > 0])
           AS positive,
         reduce(n = 0, d IN parts | n + d.n_negative) + size([w IN added WHERE w < 0]) - size([w IN gone WHERE w < 0])
           AS negative
    WITH *, toFloat(CASE WHEN positive > negative THEN positive ELSE negative END) / n_circuits AS sign_consistency
    WHERE sign_consistency >= $sign_consistency
    // Deviations are measured from the mean before, so that little is lost when nearly all circuits go.
    WITH *, CASE WHEN whole = size(gone) THEN reduce(sum = 0.0, w IN added | sum + w) / n_circuits
         ELSE before + reduce(sum = reduce(sum = 0.0, w IN added | sum + (w - before)), w IN gone | sum - (w - before))
           / n_circuits END AS mean
    WITH *, CASE WHEN whole = size(gone) THEN reduce(m2 = 0.0, w IN added | m2 + (w - mean) ^ 2)
         ELSE reduce(m2 = reduce(m2 = reduce(m2 = 0.0, d IN parts | m2 + d.m2 + d.n_circuits * (d.mean - before) ^ 2),
                                 w IN added | m2 + (w - before) ^ 2),
                     w IN gone | m2 - (w - before) ^ 2) - n_circuits * (mean - before) ^ 2 END AS m2
    RETURN f, g, n_circuits, mean, CASE WHEN m2 > 0 THEN sqrt(m2 / n_circuits) ELSE 0.0 END AS sd, sign_consistency
  }
  WITH f, g, n_circuits, mean, sd, sign_consistency
  // Both features of an effect belong to one set.
  WHERE $transcoders IS NULL OR EXISTS { (f)-[:IN]->(t:TranscoderSet) WHERE t.id IN $transcoders }
  WITH f, g, n_circuits, mean, sd, sign_consistency,
       CASE WHEN $order = "share" THEN
         COUNT { MATCH (f)<-[:USES]-(c:Circuit)-[:USES]->(g)
                 WHERE $families IS NULL
                    OR EXISTS { (c)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(y:Family) WHERE y.name IN $families }
                 RETURN DISTINCT coalesce($units[c.id], c.id) }
       END AS both
  ORDER BY CASE $order
             WHEN "circuits" THEN -toFloat(n_circuits)
             WHEN "weight" THEN -abs(mean)
             WHEN "share" THEN -toFloat(n_circuits) / both
           END, n_circuits DESC, abs(mean) DESC, f.id, g.id
  WITH collect([f, g, n_circuits, mean, sd, sign_consistency]) AS found
  // An empty list must give a row, too.
  WHERE $units IS NOT NULL OR $transcoders IS NOT NULL OR size($families) <> 1 OR $order <> "circuits"
  RETURN size(found) AS total, found[$skip .. $skip + $limit] AS page
}
CALL (page) {
  UNWIND page AS row
  CALL (row) {
    // Circuits that occur twice in the lists of the two features. This is faster than searching each circuit of one
    // feature for the other.
    UNWIND CASE WHEN $denominators THEN row[..2] ELSE [] END AS h
    MATCH (h)<-[:USES]-(c)
    WHERE $families IS NULL
       OR EXISTS { (c)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(y:Family) WHERE y.name IN $families }
    WITH c, count(*) AS n
    WHERE n = 2
    RETURN CASE WHEN $units IS NULL THEN count(*) ELSE count(DISTINCT coalesce($units[c.id], c.id)) END AS both
  }
  WITH row, row[0] AS f, row[1] AS g, both
  RETURN collect({source: f.id, target: g.id, n_circuits: row[2], mean: row[3], sd: row[4],
                  sign_consistency: row[5], both: CASE WHEN $denominators THEN both END}) AS rows
}
RETURN total, rows
