// Which circuits have these properties?
// Every parameter that is null (or, for tags, empty) asks nothing. $text is a full-text query over the prompts.
// $order: family (then the prompt's text), replacement, completeness (both best first) or error (lowest share first).
:param families => null;
:param tags => [];
:param min_tags => 0;
:param text => null;
:param answer => null;
:param correct => true;
:param min_replacement => 0.5;
:param min_completeness => null;
:param max_error_share => null;
:param model => null;
:param transcoders => null;
:param pair => null;
:param split => null;
:param order => "family";
:param skip => 0;
:param limit => 20;

CALL () {
  WITH $text AS words WHERE words IS NOT NULL
  CALL db.index.fulltext.queryNodes("prompt_text", words) YIELD node
  RETURN node AS p
UNION ALL
  WITH $text AS words WHERE words IS NULL
  MATCH (p:Prompt)
  RETURN p
}
MATCH (t:TranscoderSet)<-[:BY]-(c:Circuit)-[:OF_PROMPT]->(p)
WHERE ($families IS NULL OR EXISTS { (p)-[:IN_FAMILY]->(f:Family) WHERE f.name IN $families })
  AND ($min_tags = 0 OR COUNT { (p)-[:TAGGED]->(g:Tag) WHERE g.name IN $tags } >= $min_tags)
  AND ($answer IS NULL OR trim(c.answer) = trim($answer))
  AND ($correct IS NULL OR c.correct = $correct)
  AND ($min_replacement IS NULL OR c.replacement_score >= $min_replacement)
  AND ($min_completeness IS NULL OR c.completeness_score >= $min_completeness)
  AND ($max_error_share IS NULL OR c.error_share <= $max_error_share)
  AND ($model IS NULL OR EXISTS { (t)-[:FOR]->(m:Model) WHERE m.id = $model OR m.name = $model })
  AND ($transcoders IS NULL OR t.id = $transcoders OR t.name = $transcoders)
  AND ($pair IS NULL OR p.pair = $pair)
  AND ($split IS NULL OR p.split = $split)
WITH c, p, head([(p)-[:IN_FAMILY]->(f:Family) | f.name]) AS family
ORDER BY CASE $order
           WHEN "replacement" THEN -c.replacement_score
           WHEN "completeness" THEN -c.completeness_score
           WHEN "error" THEN c.error_share
         END, family, p.text, c.id
WITH collect(c.id) AS found
RETURN size(found) AS total, found[$skip .. $skip + $limit] AS rows
