// Which features of the same transcoders write in nearly the same direction as this one?
// Neo4j's vector index finds the $near nearest, which holds the page asked for; it is approximate. `cosine` is of what the
// two add to the residual stream, summed over the layers they write to. `total` counts the set's other features that
// have a direction; without one ($feature is not `known`) run `atlas label`.
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
