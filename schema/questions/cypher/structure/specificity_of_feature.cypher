// How specific is a feature for one family of prompts?
// `family` is the family where the greatest share of the circuits of the feature's transcoder set has the feature;
// `share` is that share. `tau` is the tissue-specificity index of Yanai et al. 2005: the mean of 1 - share / greatest
// share over the other families. It is 0 when all shares are equal, 1 when only one family has the feature, and null
// when there are fewer than two families.
// $keys: ids of features.
// Sample answer: key | family | share | tau
//   "organism-clt@247d388dcdf1/1/665" | "multi-step" | 0.1 | 1
:param keys => ["organism-clt@247d388dcdf1/1/665"];

UNWIND $keys AS key
MATCH (f:Feature {id: key})-[:IN]->(t:TranscoderSet)
CALL (f, t) {
  MATCH (t)-[v:COVERS]->(y:Family)
  OPTIONAL MATCH (f)-[i:FOUND_IN]->(y)
  WITH y, toFloat(coalesce(i.n_circuits, 0)) / v.n_circuits AS share
  ORDER BY share DESC, y.name
  RETURN collect(share) AS shares, head(collect(y.name)) AS family
}
WITH key, shares, family, shares[0] AS greatest
RETURN key, CASE WHEN greatest > 0 THEN family END AS family, greatest AS share,
       CASE WHEN size(shares) > 1 AND greatest > 0
         THEN reduce(sum = 0.0, share IN shares | sum + 1.0 - share / greatest) / (size(shares) - 1)
       END AS tau
