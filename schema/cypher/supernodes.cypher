// Which supernodes are called this, in all circuits?
// $words: lower-case words that must all occur in the label, each whole or as the beginning of a word; none: all labels.
// The labels are looked up among the concepts, of which there are few. Sorted by label, then by score.
// n_circuits of the n_grouped circuits that have any supernode at all have one of these; in the other circuits nobody
// has grouped features yet.
// Sample answer: total | rows | n_circuits | n_grouped
//   8 | ["0bf95872797ca1f4f6fa", "10f374361c78b43fc42f", … 6 more] | 8 | 354
:param words => ["say", "texas"];
:param families => null;
:param skip => 0;
:param limit => 20;

MATCH (k:Concept)
WHERE all(word IN $words WHERE toLower(k.label) =~ "(?sU).*\\b" + word + ".*")
MATCH (k)<-[:MEANS]-(s:Supernode)<-[:HAS]-(c:Circuit)
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
