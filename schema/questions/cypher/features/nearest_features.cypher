// Which features of the same transcoder set write in nearly the same direction as this feature?
// `cosine` compares what the two features add to the residual stream, summed over the layers that they write to. The
// search in Neo4j's vector index is approximate. `total` counts the other features of the set that have a direction.
// If `known` is false, the direction of $feature is not stored: run `atlas label`.
// $feature: id of the feature.
// $near: how many neighbours the index returns; at least $skip + $limit + 1.
// $skip, $limit: the page, as numbers of rows.
// Sample answer: total | rows | known
//   2162 | [{feature: "organism-clt@247d388dcdf1/1/1339", cosine: 0.402}, {feature:
//     "organism-clt@247d388dcdf1/1/962", cosine: 0.402}, … 18 more] | true
:param feature => "organism-clt@247d388dcdf1/1/665";
:param near => 21;
:param skip => 0;
:param limit => 20;

CYPHER 25
MATCH (f:Feature {id: $feature})-[:IN]->(t:TranscoderSet)
CALL (f) {
  WITH f.direction AS direction, f.direction_of AS set
  WHERE direction IS NOT NULL
  MATCH (g:Feature)
    SEARCH g IN (VECTOR INDEX feature_direction FOR direction WHERE g.direction_of = set LIMIT $near) SCORE AS score
  WITH g, score WHERE g.id <> $feature
  ORDER BY score DESC, g.id
  RETURN collect({feature: g.id, cosine: 2 * score - 1}) AS found
}
RETURN COUNT { (t)<-[:IN]-(g:Feature) WHERE g.direction IS NOT NULL AND g.id <> $feature } AS total,
       found[$skip .. $skip + $limit] AS rows, f.direction IS NOT NULL AS known
