// How much of what happens is left to error nodes, by family and transcoder set?
// Over the circuits whose error share (before pruning) is known; a circuit is not to be trusted when it is above
// $max_error_share. $families null: all, circuits without a family included.
// Sample answer: family | transcoders | n_considered | n_known | mean | greatest | n_untrusted
//   "multilingual" | "organism-clt@247d388dcdf1" | 48 | 48 | 0.136 | 0.327 | 1
//   "entities" | "organism-clt@247d388dcdf1" | 32 | 32 | 0.112 | 0.231 | 0
//   "refusals" | "organism-clt@247d388dcdf1" | 56 | 56 | 0.0851 | 0.16 | 0
//   … 5 more rows
:param families => null;
:param max_error_share => 0.3;

MATCH (t:TranscoderSet)<-[:BY]-(c:Circuit)-[:OF_PROMPT]->(p:Prompt)
WITH t, c, head([(p)-[:IN_FAMILY]->(y:Family) | y.name]) AS family
WHERE $families IS NULL OR family IN $families
RETURN family, t.id AS transcoders, count(c) AS n_considered, count(c.error_share) AS n_known,
       avg(c.error_share) AS mean, max(c.error_share) AS greatest,
       count(CASE WHEN c.error_share > $max_error_share THEN 1 END) AS n_untrusted
ORDER BY coalesce(mean, -1.0) DESC, family, transcoders
