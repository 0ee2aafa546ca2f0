// Which sub-circuits of three nodes recur?
// The three nodes must be connected in the same circuit. n_circuits counts the circuits that have the motif.
// `product` is the product of the two signed weights of the chain, `direct` the weight of the direct effect of the
// first on the third; both are summed within a circuit and averaged over circuits. The question combines the $strong
// effects that the most of the given circuits have. n_effects counts all effects that at least $min_support of these
// circuits have, n_combined those that were combined; `truncated` is true when there are more than $strong.
// $shape: chain (a feature drives a second feature, which drives a third), triangle (a chain whose first feature also
//   drives the third directly) or output (a feature drives a second feature, which drives a logit, given by its
//   token).
// $circuits: ids of circuits; null means all circuits.
// $family: name of a family, when $circuits are all circuits of that family; null otherwise. It makes the question
//   faster.
// $units: for each circuit that shares its unit (such as its prompt) with other circuits, the unit; null counts
//   circuits. A unit has a motif or an effect if one of its circuits has it; `product` and `direct` are means over
//   those of its circuits that have them.
// $min_support: least number of circuits that have the motif.
// $strong: greatest number of effects to combine.
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: total | rows | truncated | n_effects | n_combined
//   139 | [{product: 0.0512, n_circuits: 20, third: "organism-clt@247d388dcdf1/2/1435", sign_consistency: 1, direct:
//     0.541, first: "organism-clt@247d388dcdf1/0/1303", second: "organism-clt@247d388dcdf1/1/1182", token: null},
//     {product: 0.0464, n_circuits: 20, third: "organism-clt@247d388dcdf1/2/1435", sign_consistency: 1, direct: 0.2,
//     first: "organism-clt@247d388dcdf1/0/932", second: "organism-clt@247d388dcdf1/1/1182", token: null}, … 18 more]
//     | true | 15873 | 300
:param shape => "chain";
:param circuits => null;
:param family => null;
:param units => null;
:param min_support => 2;
:param strong => 300;
:param skip => 0;
:param limit => 20;

CALL () {
  // All circuits: every load keeps the effects up to date, and an index sorts them.
  WITH * WHERE $units IS NULL AND $circuits IS NULL
  CALL () {
    MATCH ()-[d:DRIVES]->()
    WHERE d.n_circuits >= $min_support AND d.sign_consistency IS NOT NULL
    RETURN count(*) AS n_effects
  }
  CALL () {
    MATCH ()-[d:DRIVES]->()
    WHERE d.n_circuits >= $min_support AND d.sign_consistency IS NOT NULL
    WITH d.n_circuits AS n_circuits
    ORDER BY n_circuits DESC LIMIT $strong
    RETURN min(n_circuits) AS least
  }
  CALL (least) {
    MATCH (f)-[d:DRIVES]->(g)
    WHERE d.n_circuits >= least AND d.sign_consistency IS NOT NULL
    WITH f, g, d.n_circuits AS n_circuits
    ORDER BY n_circuits DESC, f.id, g.id LIMIT $strong
    RETURN collect([f, g]) AS drives
  }
  RETURN n_effects, drives
UNION ALL
  // All circuits of one family: the same.
  WITH * WHERE $units IS NULL AND $circuits IS NOT NULL AND $family IS NOT NULL
  CALL () {
    MATCH ()-[d:DRIVES_IN]->()
    WHERE d.family = $family AND d.n_circuits >= $min_support AND d.sign_consistency IS NOT NULL
    RETURN count(*) AS n_effects
  }
  CALL () {
    MATCH ()-[d:DRIVES_IN]->()
    WHERE d.family = $family AND d.n_circuits >= $min_support AND d.sign_consistency IS NOT NULL
    WITH d.n_circuits AS n_circuits
    ORDER BY n_circuits DESC LIMIT $strong
    RETURN min(n_circuits) AS least
  }
  CALL (least) {
    MATCH (f)-[d:DRIVES_IN]->(g)
    WHERE d.family = $family AND d.n_circuits >= least AND d.sign_consistency IS NOT NULL
    WITH f, g, d.n_circuits AS n_circuits
    ORDER BY n_circuits DESC, f.id, g.id LIMIT $strong
    RETURN collect([f, g]) AS drives
  }
  RETURN n_effects, drives
UNION ALL
  // The same where circuits share their unit: take these circuits out, and put their units in.
  WITH * WHERE $units IS NOT NULL AND ($circuits IS NULL OR $family IS NOT NULL)
  CALL () {
    CALL () {
      WITH * WHERE $circuits IS NULL
      MATCH (f)-[d:DRIVES]->(g)
      WHERE d.n_circuits >= $min_support AND d.sign_consistency IS NOT NULL
      RETURN f, g, d.n_circuits AS n
    UNION ALL
      WITH * WHERE $circuits IS NOT NULL
      MATCH (f)-[d:DRIVES_IN]->(g)
      WHERE d.family = $family AND d.n_circuits >= $min_support AND d.sign_consistency IS NOT NULL
      RETURN f, g, d.n_circuits AS n
    UNION ALL
      UNWIND keys($units) AS id
      WITH $units[id] AS unit, collect(id) AS circuits
      CALL (circuits) {
        UNWIND circuits AS id
        CALL (id) {
          MATCH (:Circuit {id: id})-[:HAS]->(y:FeatureNode)-[:INSTANCE_OF]->(g:Feature)
          WHERE g.n_circuits >= $min_support
          MATCH (y)<-[:ATTRIBUTES]-(x:FeatureNode)-[:INSTANCE_OF]->(f:Feature)
          WHERE f.n_circuits >= $min_support
          RETURN DISTINCT f, g
        }
        RETURN f, g, 1 - count(*) AS n
      }
      RETURN f, g, n
    }
    WITH f, g, sum(n) AS n_circuits
    WHERE n_circuits >= $min_support
    WITH f, g, n_circuits
    ORDER BY n_circuits DESC, f.id, g.id
    RETURN collect([f, g]) AS recurring
  }
  RETURN size(recurring) AS n_effects, recurring[..$strong] AS drives
UNION ALL
  // Any other set: count the effects in its circuits. Features that recur nowhere cannot recur here.
  WITH * WHERE $circuits IS NOT NULL AND $family IS NULL
  CALL () {
    UNWIND $circuits AS id
    WITH coalesce($units[id], id) AS unit, collect(id) AS circuits
    CALL (circuits) {
      UNWIND circuits AS id
      MATCH (:Circuit {id: id})-[:HAS]->(y:FeatureNode)-[:INSTANCE_OF]->(g:Feature)
      WHERE g.n_circuits >= $min_support
      MATCH (y)<-[:ATTRIBUTES]-(x:FeatureNode)-[:INSTANCE_OF]->(f:Feature)
      WHERE f.n_circuits >= $min_support
      RETURN DISTINCT f, g
    }
    WITH f, g, count(*) AS n_circuits
    WHERE n_circuits >= $min_support
    WITH f, g, n_circuits
    ORDER BY n_circuits DESC, f.id, g.id
    RETURN collect([f, g]) AS recurring
  }
  RETURN size(recurring) AS n_effects, recurring[..$strong] AS drives
}
CALL (drives) {
  UNWIND drives AS d
  WITH drives, d[1] AS b, collect(d[0]) AS sources
  WITH b, sources, [d IN drives WHERE d[0] = b | d[1]] AS targets
  WHERE $shape = "output" OR size(targets) > 0
  RETURN collect({b: b, sources: sources, source_indices: [f IN sources | f.index],
                  targets: targets, target_indices: [f IN targets | f.index]}) AS middles
}
CALL (middles) {
  CALL (middles) {
    WITH * WHERE $circuits IS NULL
    UNWIND middles AS middle
    WITH middle, middle.b AS b
    MATCH (b)<-[:INSTANCE_OF]-(y:FeatureNode)<-[:HAS]-(c:Circuit)
    RETURN c, y, middle
  UNION ALL
    UNWIND $circuits AS id
    MATCH (c:Circuit {id: id})-[:HAS]->(y:FeatureNode)-[:INSTANCE_OF]->(b)
    WITH c, y, head([m IN middles WHERE m.b = b]) AS middle
    WHERE middle IS NOT NULL
    RETURN c, y, middle
  }
  // Start at the middle, so that each node of a middle feature is visited once. Most neighbours belong to other
  // features; comparing their index excludes them faster than following the relationship to their feature.
  WITH c, y, middle.b AS b, middle.sources AS sources, middle.source_indices AS source_indices,
       middle.targets AS targets, middle.target_indices AS target_indices
  MATCH (y)<-[e:ATTRIBUTES]-(x:FeatureNode)
  WHERE x.index IN source_indices
  MATCH (x)-[:INSTANCE_OF]->(a:Feature)
  WHERE a IN sources
  CALL (targets, target_indices, x, y) {
    WITH * WHERE $shape <> "output"
    MATCH (y)-[k:ATTRIBUTES]->(z:FeatureNode)
    WHERE z.index IN target_indices
    MATCH (z)-[:INSTANCE_OF]->(third:Feature)
    WHERE third IN targets
    OPTIONAL MATCH (x)-[through:ATTRIBUTES]->(z)
    WITH third, k, through
    WHERE $shape = "chain" OR through IS NOT NULL
    RETURN third.id AS feature, null AS token, k.weight AS weight, through.weight AS direct
  UNION ALL
    WITH y WHERE $shape = "output"
    MATCH (y)-[k:ATTRIBUTES]->(l:LogitNode)
    WHERE l.token IS NOT NULL
    RETURN null AS feature, l.token AS token, k.weight AS weight, null AS direct
  }
  WITH a, b, feature, token, c, sum(e.weight * weight) AS product,
       CASE WHEN count(direct) > 0 THEN sum(direct) END AS direct
  WITH a, b, feature, token, CASE WHEN $units IS NULL THEN c ELSE coalesce($units[c.id], c.id) END AS unit,
       avg(product) AS product, avg(direct) AS direct
  WITH a.id AS first, b.id AS second, feature AS third, token, count(*) AS n_circuits, avg(product) AS product,
       avg(direct) AS direct, count(CASE WHEN product > 0 THEN 1 END) AS positive,
       count(CASE WHEN product < 0 THEN 1 END) AS negative
  WHERE n_circuits >= $min_support
  WITH first, second, third, token, n_circuits, product, direct,
       toFloat(CASE WHEN positive > negative THEN positive ELSE negative END) / n_circuits AS sign_consistency
  ORDER BY n_circuits DESC, abs(product) DESC, first, second, third, token
  RETURN collect({first: first, second: second, third: third, token: token, n_circuits: n_circuits,
                  product: product, direct: direct, sign_consistency: sign_consistency}) AS found
}
RETURN size(found) AS total, found[$skip .. $skip + $limit] AS rows, n_effects > $strong AS truncated, n_effects,
       size(drives) AS n_combined
