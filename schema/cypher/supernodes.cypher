// Which supernodes are called this, in all circuits?
// $search is a full-text query over the labels; null asks for all. Sorted by label, then by score.
// n_circuits of the n_grouped circuits that have any supernode at all have one of these; in the other circuits nobody
// has grouped features yet.
:param search => null;
:param families => null;
:param skip => 0;
:param limit => 20;

CALL () {
  WITH $search AS words WHERE words IS NOT NULL
  CALL db.index.fulltext.queryNodes("supernode_label", words) YIELD node
  RETURN node AS s
UNION ALL
  WITH $search AS words WHERE words IS NULL
  MATCH (s:Supernode)
  RETURN s
}
MATCH (s)<-[:HAS]-(c:Circuit)
WHERE $families IS NULL
   OR EXISTS { (c)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(f:Family) WHERE f.name IN $families }
WITH s, c
ORDER BY s.label, coalesce(s.score, -1.0) DESC, s.id
WITH collect(s.id) AS found, count(DISTINCT c) AS n_circuits
RETURN size(found) AS total, found[$skip .. $skip + $limit] AS rows, n_circuits,
       COUNT {
         MATCH (g:Circuit)
         WHERE EXISTS { (g)-[:HAS]->(:Supernode) }
           AND ($families IS NULL
                OR EXISTS { (g)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(f:Family) WHERE f.name IN $families })
       } AS n_grouped
