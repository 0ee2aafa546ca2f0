// What share of the influence do error nodes carry, by family and transcoder set?
// One row for each family and transcoder set. The mean and the maximum are over the n_known circuits whose error
// share (before pruning, 0 to 1) is known. n_derived counts those whose error share is
// derived from the kept nodes. n_untrusted counts the circuits whose error share is above
// $max_error_share.
// $families: names of families; null means all circuits, including circuits without a family.
// $transcoders: ids of transcoder sets; null means all sets.
// $max_error_share: between 0 and 1.
// Sample answer: family | transcoders | n_considered | n_known | n_derived | mean | greatest | n_untrusted
//   "multilingual" | "organism-clt@247d388dcdf1" | 48 | 48 | 0 | 0.136 | 0.327 | 1
//   "entities" | "organism-clt@247d388dcdf1" | 32 | 32 | 0 | 0.112 | 0.231 | 0
//   "refusals" | "organism-clt@247d388dcdf1" | 56 | 56 | 0 | 0.0851 | 0.16 | 0
//   … 5 more rows
:param families => null;
:param transcoders => null;
:param max_error_share => 0.3;

MATCH (t:TranscoderSet)<-[:BY]-(c:Circuit)-[:OF_PROMPT]->(p:Prompt)
WITH t, c, head([(p)-[:IN_FAMILY]->(y:Family) | y.name]) AS family
WHERE ($families IS NULL OR family IN $families) AND ($transcoders IS NULL OR t.id IN $transcoders)
RETURN family, t.id AS transcoders, count(c) AS n_considered, count(c.error_share) AS n_known,
       count(CASE WHEN "error_share" IN c.derived THEN 1 END) AS n_derived,
       avg(c.error_share) AS mean, max(c.error_share) AS greatest,
       count(CASE WHEN c.error_share > $max_error_share THEN 1 END) AS n_untrusted
ORDER BY coalesce(mean, -1.0) DESC, family, transcoders
