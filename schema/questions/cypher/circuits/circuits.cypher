// Which circuits have these properties?
// $filter: the conditions, combined with AND. An entry that is null or absent sets no condition, and neither does
//   min_tags = 0. The conditions are one map, so that the plan does not depend on which of them are given. `text` is
//   a full-text query over the prompts; min_tags is how many of `tags` the prompt must have; `title` is a part of the
//   title; `pinned` is whether the circuit has pinned nodes.
// $order: family (then the prompt's text), replacement or completeness (highest score first), or error (lowest error
//   share first).
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: total | rows
//   60 | ["9765c922be8a2c6ee457", "fcde0bf2649fe3ed1115", … 18 more]
:param filter => {families: ["multi-step"], tags: [], min_tags: 0, correct: true, min_replacement: 0.5};
:param order => "family";
:param skip => 0;
:param limit => 20;

// Start from the narrowest condition that an index answers.
WITH CASE
    WHEN $filter.text IS NOT NULL THEN "text"
    WHEN $filter.slug IS NOT NULL THEN "slug"
    WHEN $filter.creator IS NOT NULL THEN "creator"
    WHEN $filter.tool IS NOT NULL THEN "tool"
    WHEN $filter.min_tags > 0 THEN "tags"
    WHEN $filter.families IS NOT NULL THEN "families"
  END AS by
CALL (by) {
  WITH * WHERE by = "text"
  CALL db.index.fulltext.queryNodes("prompt_text", $filter.text) YIELD node
  RETURN node AS p
UNION ALL
  WITH * WHERE by = "slug"
  MATCH (p:Prompt)<-[:OF_PROMPT]-(:Circuit {slug: $filter.slug})
  RETURN DISTINCT p
UNION ALL
  WITH * WHERE by = "creator"
  MATCH (p:Prompt)<-[:OF_PROMPT]-(:Circuit {creator: $filter.creator})
  RETURN DISTINCT p
UNION ALL
  WITH * WHERE by = "tool"
  MATCH (p:Prompt)<-[:OF_PROMPT]-(:Circuit {tool: $filter.tool})
  RETURN DISTINCT p
UNION ALL
  WITH * WHERE by = "tags"
  MATCH (g:Tag) WHERE g.name IN $filter.tags
  MATCH (g)<-[:TAGGED]-(p:Prompt)
  RETURN DISTINCT p
UNION ALL
  WITH * WHERE by = "families"
  MATCH (f:Family) WHERE f.name IN $filter.families
  MATCH (f)<-[:IN_FAMILY]-(p:Prompt)
  RETURN DISTINCT p
UNION ALL
  WITH * WHERE by IS NULL
  MATCH (p:Prompt)
  RETURN p
}
// Few nodes are pinned.
CALL () {
  WITH * WHERE $filter.pinned IS NOT NULL
  MATCH (c:Circuit)-[:HAS]->(:Node {pinned: true})
  RETURN collect(DISTINCT c.id) AS with_pins
}
CALL () {
  WITH * WHERE $filter.pinned_features IS NOT NULL
  MATCH (c:Circuit)-[:HAS]->(:Node {pinned: true})-[:INSTANCE_OF]->(f:Feature)
  WHERE f.id IN $filter.pinned_features
  RETURN collect(DISTINCT c.id) AS with_features
}
MATCH (t:TranscoderSet)<-[:BY]-(c:Circuit)-[:OF_PROMPT]->(p)
WHERE ($filter.families IS NULL OR EXISTS { (p)-[:IN_FAMILY]->(f:Family) WHERE f.name IN $filter.families })
  AND ($filter.min_tags = 0 OR COUNT { (p)-[:TAGGED]->(g:Tag) WHERE g.name IN $filter.tags } >= $filter.min_tags)
  AND ($filter.answer IS NULL OR trim(c.answer) = trim($filter.answer))
  AND ($filter.correct IS NULL OR c.correct = $filter.correct)
  AND ($filter.min_replacement IS NULL OR c.replacement_score >= $filter.min_replacement)
  AND ($filter.min_completeness IS NULL OR c.completeness_score >= $filter.min_completeness)
  AND ($filter.max_error_share IS NULL OR c.error_share <= $filter.max_error_share)
  AND ($filter.model IS NULL OR EXISTS { (t)-[:FOR]->(m:Model) WHERE m.id = $filter.model OR m.name = $filter.model })
  AND ($filter.transcoders IS NULL OR t.id = $filter.transcoders OR t.name = $filter.transcoders)
  AND ($filter.pair IS NULL OR p.pair = $filter.pair)
  AND ($filter.split IS NULL OR p.split = $filter.split)
  AND ($filter.tool IS NULL OR c.tool = $filter.tool)
  AND ($filter.slug IS NULL OR c.slug = $filter.slug)
  AND ($filter.title IS NULL OR toLower(c.title) CONTAINS toLower($filter.title))
  AND ($filter.source_url IS NULL OR $filter.source_url IN c.source_urls)
  AND ($filter.creator IS NULL OR c.creator = $filter.creator)
  AND ($filter.pinned IS NULL OR $filter.pinned = (c.id IN with_pins))
  AND ($filter.pinned_features IS NULL OR c.id IN with_features)
WITH c, p, head([(p)-[:IN_FAMILY]->(f:Family) | f.name]) AS family
ORDER BY CASE $order
           WHEN "replacement" THEN -c.replacement_score
           WHEN "completeness" THEN -c.completeness_score
           WHEN "error" THEN c.error_share
         END, family, p.text, c.id
WITH collect(c.id) AS found
RETURN size(found) AS total, found[$skip .. $skip + $limit] AS rows
