// Which supernodes are called this, in all circuits, of one way of grouping features?
// $method and $author (null: all authors) say which way; groupings.cypher lists what there is.
// $words: lower-case words that must all occur in the label, each whole or as the beginning of a word; none: all labels.
// The labels are looked up among the concepts, of which there are few. Sorted by label, then by score.
// n_circuits of the n_grouped circuits that are grouped in this way have one of these.
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
