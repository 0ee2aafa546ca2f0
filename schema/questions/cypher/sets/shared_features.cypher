// Which features do these circuits share, and how common are these features in other circuits?
// n_inside and n_outside are the denominators: the circuits made with the feature's transcoder set, because the
// feature cannot occur in other circuits. `tested` counts the features of the inside by (support, n_inside,
// support_outside, n_outside), before any filter. n_tested counts all features of the inside and the outside: the
// number of tests that a correction of the p-values must assume.
// n_unknown counts the listed features whose influence is unknown in all inside circuits.
// $inside: ids of the circuits.
// $outside: ids of the circuits to compare with; null means all other circuits.
// $min_circuits: least number of inside circuits that use the feature.
// $max_outside: greatest number of outside circuits that use the feature; null means no limit.
// $order: support (most circuits first), influence (highest mean first), lift (share inside / share outside; features
//   never seen outside come first) or p (smallest first).
// $p: for the order p, a map from "support/n_inside/support_outside/n_outside" to the p-value. Cypher has no function
//   for it.
// $units: for each circuit that shares its unit (such as its prompt) with other circuits, the unit; null counts
//   circuits. A unit has a feature if one of its circuits has it; the influence is the mean over these circuits. With
//   all other circuits outside, those whose unit is inside do not count.
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: total | rows | tested | n_tested | n_unknown
//   16 | [{feature: "organism-clt@247d388dcdf1/3/1262", lift: 36.4, support_outside: 10, support: 2, n_outside: 364,
//     influence: 0.0648, n_inside: 2}, {feature: "organism-clt@247d388dcdf1/0/742", lift: 12.6, support_outside: 29,
//     support: 2, n_outside: 364, influence: 0.0618, n_inside: 2}, … 14 more] | [[2, 2, … 3 more], [1, 2, … 3 more],
//     … 22 more] | 2163 | 0
:param inside => ["f8d98257b1a3c1872ea8", "4012db4770d4d6bcd9c2"];
:param outside => null;
:param min_circuits => 2;
:param max_outside => null;
:param order => "support";
:param p => {};
:param units => null;
:param skip => 0;
:param limit => 20;

CALL () {
  MATCH (c:Circuit)-[:BY]->(t:TranscoderSet)
  WHERE c.id IN $inside
  // In one fixed order, so that means do not depend on how the question is asked, not even in the last bit.
  WITH t, c ORDER BY c.id
  WITH t, collect(c) AS circuits, count(DISTINCT coalesce($units[c.id], c.id)) AS n_inside
  CALL (t) {
    // What each outside unit counts more than once, or counts although it is inside, too.
    UNWIND keys($units) AS id
    MATCH (t)<-[:BY]-(:Circuit {id: id})
    WHERE NOT id IN $inside
    WITH $units[id] AS unit, [i IN $inside | $units[i]] AS inside_units
    RETURN count(DISTINCT CASE WHEN NOT coalesce(unit IN inside_units, false) THEN unit END) - count(*) AS repeated
  }
  RETURN collect({
    set: t,
    circuits: circuits,
    n_inside: n_inside,
    n_outside: CASE WHEN $outside IS NULL
      THEN COUNT { (t)<-[:BY]-() } - size(circuits) + repeated
      ELSE COUNT { MATCH (t)<-[:BY]-(o:Circuit) WHERE o.id IN $outside RETURN DISTINCT coalesce($units[o.id], o.id) }
    END
  }) AS sets, sum(COUNT { (t)<-[:IN]-() }) AS n_features
}
WITH sets, n_features, [id IN $inside WHERE $units[id] IS NOT NULL | $units[id]] AS inside_units
CALL (sets, inside_units) {
  UNWIND sets AS each
  WITH inside_units, each.set AS t, each.circuits AS circuits, each.n_inside AS n_inside, each.n_outside AS n_outside
  CALL (t, circuits, inside_units) {
    CALL (t, circuits, inside_units) {
      WITH * WHERE $units IS NULL
      UNWIND circuits AS c
      MATCH (c)-[u:USES]->(f)
      RETURN f, count(*) AS inside, count(*) AS uses, 0 AS outside, avg(u.influence) AS influence
    UNION ALL
      WITH * WHERE $units IS NOT NULL
      UNWIND circuits AS c
      MATCH (c)-[u:USES]->(f)
      WITH f, coalesce($units[c.id], c.id) AS unit, count(*) AS uses, avg(u.influence) AS influence
      RETURN f, count(*) AS inside, sum(uses) AS uses, 0 AS outside, avg(influence) AS influence
    UNION ALL
      UNWIND $outside AS id
      MATCH (t)<-[:BY]-(:Circuit {id: id})-[:USES]->(f)
      RETURN f, 0 AS inside, 0 AS uses, count(DISTINCT coalesce($units[id], id)) AS outside, null AS influence
    UNION ALL
      // The number of circuits that every load keeps up to date counts each circuit of a unit.
      UNWIND CASE WHEN $outside IS NULL THEN keys($units) END AS id
      MATCH (t)<-[:BY]-(:Circuit {id: id})-[:USES]->(f)
      WHERE NOT id IN $inside
      WITH f, count(*) AS uses,
           count(DISTINCT CASE WHEN NOT $units[id] IN inside_units THEN $units[id] END) AS outside
      RETURN f, 0 AS inside, 0 AS uses, outside - uses AS outside, null AS influence
    }
    RETURN f, sum(inside) AS support, sum(uses) AS uses, sum(outside) AS named_outside,
           max(influence) AS influence
  }
  // Features with the same counts have the same lift and p-value, so grouping them saves work.
  WITH support, n_inside, n_outside,
       CASE WHEN $outside IS NULL THEN f.n_circuits - uses ELSE 0 END + named_outside AS support_outside,
       collect([f, influence]) AS members
  RETURN collect({
    support: support, n_inside: n_inside, support_outside: support_outside, n_outside: n_outside, members: members
  }) AS groups
}
CALL (groups) {
  UNWIND groups AS g
  WITH g, CASE WHEN g.support_outside > 0
         THEN toFloat(g.support) * g.n_outside / (g.n_inside * g.support_outside) END AS lift
  WHERE g.support >= $min_circuits AND ($max_outside IS NULL OR g.support_outside <= $max_outside)
  UNWIND g.members AS member
  WITH g, lift, member[0] AS f, member[1] AS influence
  ORDER BY CASE $order
             WHEN "support" THEN -toFloat(g.support)
             WHEN "influence" THEN -coalesce(influence, -1.0)
             WHEN "lift" THEN CASE WHEN g.n_outside = 0 THEN 1.0 WHEN lift IS NULL THEN -1.0e300 ELSE -lift END
             WHEN "p" THEN $p[g.support + "/" + g.n_inside + "/" + g.support_outside + "/" + g.n_outside]
           END, g.support DESC, coalesce(influence, -1.0) DESC, f.id
  RETURN collect([f, influence, g, lift]) AS found
}
RETURN size(found) AS total,
       [row IN found[$skip .. $skip + $limit] | {
         feature: row[0].id, influence: row[1], support: row[2].support, n_inside: row[2].n_inside,
         support_outside: row[2].support_outside, n_outside: row[2].n_outside, lift: row[3]
       }] AS rows,
       [g IN groups WHERE g.support > 0 |
         [g.support, g.n_inside, g.support_outside, g.n_outside, size(g.members)]] AS tested,
       CASE WHEN $outside IS NULL
         THEN n_features - reduce(n = 0, g IN groups |
           n + CASE WHEN g.support = 0 AND g.support_outside = 0 THEN size(g.members) ELSE 0 END)
         ELSE reduce(n = 0, g IN groups | n + size(g.members)) END AS n_tested,
       size([row IN found WHERE row[1] IS NULL]) AS n_unknown
