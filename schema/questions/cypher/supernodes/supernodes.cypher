// Which supernodes of one way of grouping have this label, over all circuits?
// Supernodes are sorted by label, then by score. n_circuits of the n_grouped circuits that are grouped in this way
// have one of these supernodes. The query looks up labels among the concepts, because there are few concepts.
// $words: lower-case words that must all occur in the label, each as a whole word or as the beginning of a word. An
//   empty list means all labels.
// $method, $author: the way of grouping; a null author means all authors. groupings.cypher lists the ways.
// $families: names of families; null means all families.
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: total | rows | n_circuits | n_grouped
//   5 | ["21aab69f790a868a1b89", "35e047f27f6b04d876c4", … 3 more] | 5 | 364
:param words => ["say", "texas"];
:param method => "label-and-position-v1";
:param author => null;
:param families => null;
:param skip => 0;
:param limit => 20;

MATCH (k:Concept)
WHERE all(word IN $words WHERE toLower(k.label) =~ "(?sU).*\\b" + word + ".*")
MATCH (k)<-[:MEANS]-(s:Supernode {method: $method})<-[:HAS]-(c:Circuit)
WHERE ($author IS NULL OR s.author = $author)
  AND ($families IS NULL
       OR EXISTS { (c)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(f:Family) WHERE f.name IN $families })
WITH s, c
ORDER BY s.label, coalesce(s.score, -1.0) DESC, s.id
WITH collect(s.id) AS found, count(DISTINCT c) AS n_circuits
RETURN size(found) AS total, found[$skip .. $skip + $limit] AS rows, n_circuits,
       COUNT {
         MATCH (g:Circuit)
         WHERE EXISTS { (g)-[:HAS]->(o:Supernode {method: $method}) WHERE $author IS NULL OR o.author = $author }
           AND ($families IS NULL
                OR EXISTS { (g)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(f:Family) WHERE f.name IN $families })
       } AS n_grouped
