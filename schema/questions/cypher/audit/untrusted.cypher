// Which circuits should not be trusted, because error nodes carry much of their influence?
// Circuits with the highest error share come first.
// $families: names of families; null means all families.
// $transcoders: ids of transcoder sets; null means all sets.
// $max_error_share: circuits whose error share (0 to 1) is above this value are listed.
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: total | rows
//   1 | ["ef3dee98c976fb5dab23"]
:param families => null;
:param transcoders => null;
:param max_error_share => 0.3;
:param skip => 0;
:param limit => 20;

MATCH (c:Circuit)-[:OF_PROMPT]->(p:Prompt)
WHERE c.error_share > $max_error_share
  AND ($families IS NULL OR EXISTS { (p)-[:IN_FAMILY]->(y:Family) WHERE y.name IN $families })
  AND ($transcoders IS NULL OR EXISTS { (c)-[:BY]->(t:TranscoderSet) WHERE t.id IN $transcoders })
WITH c
ORDER BY c.error_share DESC, c.id
WITH collect(c.id) AS found
RETURN size(found) AS total, found[$skip .. $skip + $limit] AS rows
