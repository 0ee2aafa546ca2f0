// What is the state of these features in these circuits: kept, pruned, unselected, inactive or unknown?
// An absent feature does not have the value zero. One row for each feature and state, with the circuits in the order
// of their ids.
// $circuits: ids of circuits.
// $features: for each feature its id, the id of its transcoder set, and `number`: index x 1024 + layer, the number
//   under which circuits list the features that were pruned or not selected. It is null for a feature of a component
//   that such lists do not cover.
// Sample answer: feature | state | circuits
//   "organism-clt@247d388dcdf1/1/665" | "kept" | ["f8d98257b1a3c1872ea8"]
//   "organism-clt@247d388dcdf1/1/665" | "inactive" | ["fd72be67a9e40556d5aa"]
:param circuits => ["f8d98257b1a3c1872ea8", "fd72be67a9e40556d5aa"];
:param features => [{id: "organism-clt@247d388dcdf1/1/665", set: "organism-clt@247d388dcdf1", number: 680961}];

UNWIND $features AS asked
OPTIONAL MATCH (f:Feature {id: asked.id})
WITH asked, f
UNWIND $circuits AS id
MATCH (c:Circuit {id: id})-[:BY]->(t:TranscoderSet)
WITH asked.id AS feature, id, CASE
    WHEN t.id <> asked.set THEN "other_set"
    WHEN f IS NOT NULL AND EXISTS { (c)-[:USES]->(f) } THEN "kept"
    WHEN asked.number IS NULL OR c.pruned_features IS NULL OR c.unselected_features IS NULL THEN "unknown"
    WHEN asked.number IN c.pruned_features THEN "pruned"
    WHEN asked.number IN c.unselected_features THEN "unselected"
    ELSE "inactive"
  END AS state
ORDER BY id
RETURN feature, state, collect(id) AS circuits
