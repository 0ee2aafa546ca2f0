// How specific is a feature for one family of prompts?
// `family` is the family where the greatest share of the circuits of the feature's transcoder set has the feature;
// `share` is that share. `tau` is the tissue-specificity index of Yanai et al. 2005: the mean of 1 - share / greatest
// share over the other families. It is 0 when all shares are equal, 1 when only one family has the feature, and null
// when there are fewer than two families.
// $keys: ids of features.
// $units: for each circuit that shares its unit (such as its prompt) with other circuits, the unit; null counts
//   circuits. A unit is in a family, and has the feature there, if one of its circuits does.
// Sample answer: key | family | share | tau
//   "organism-clt@247d388dcdf1/1/665" | "multi-step" | 0.1 | 1
:param keys => ["organism-clt@247d388dcdf1/1/665"];
:param units => null;

UNWIND $keys AS key
WITH collect(key) AS keys
CALL () {
  // What the numbers of circuits count too much, by set and family.
  UNWIND keys($units) AS id
  MATCH (t:TranscoderSet)<-[:BY]-(:Circuit {id: id})-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(y:Family)
  WITH t, y, $units[id] AS unit, count(*) AS n
  WITH t, y, sum(n - 1) AS n
  RETURN collect([t, y, n]) AS repeated
}
UNWIND keys AS key
MATCH (f:Feature {id: key})-[:IN]->(t:TranscoderSet)
CALL (f) {
  WITH f WHERE $units IS NOT NULL
  MATCH (f)<-[:USES]-(c:Circuit)
  WHERE $units[c.id] IS NOT NULL
  MATCH (c)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(y:Family)
  WITH y, $units[c.id] AS unit, count(*) AS n
  WITH y, sum(n - 1) AS n
  RETURN collect([y, n]) AS repeated_here
}
CALL (f, t, repeated, repeated_here) {
  MATCH (t)-[v:COVERS]->(y:Family)
  OPTIONAL MATCH (f)-[i:FOUND_IN]->(y)
  WITH y, coalesce(i.n_circuits, 0) - coalesce(head([each IN repeated_here WHERE each[0] = y | each[1]]), 0) AS having,
       v.n_circuits - coalesce(head([each IN repeated WHERE each[0] = t AND each[1] = y | each[2]]), 0) AS n_considered
  WITH y, toFloat(having) / n_considered AS share
  ORDER BY share DESC, y.name
  RETURN collect(share) AS shares, head(collect(y.name)) AS family
}
WITH key, shares, family, shares[0] AS greatest
RETURN key, CASE WHEN greatest > 0 THEN family END AS family, greatest AS share,
       CASE WHEN size(shares) > 1 AND greatest > 0
         THEN reduce(sum = 0.0, share IN shares | sum + 1.0 - share / greatest) / (size(shares) - 1)
       END AS tau
