// In which circuits does a text that a search found occur?
// Circuits where the text carries the most influence come first. The influence of a label is that of its features, of
// a supernode that of its members, and of a token that of its token nodes (null where the token is only the answer).
// The influence of a prompt is null. n_unknown counts the circuits without an influence, which come last.
// $keys: pairs of a kind (prompt, label, supernode or token) and a text.
// $families, $transcoders: names of families, ids of transcoder sets; null means no condition.
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: key | total | rows | n_unknown
//   ["supernode", "say texas"] | 5 | [{circuit: "73b3327de94dd0b63096", influence: 0.167}, {circuit:
//     "933408547af809ba96a3", influence: 0.163}, … 3 more] | 0
:param keys => [["supernode", "say texas"]];
:param families => null;
:param transcoders => null;
:param skip => 0;
:param limit => 20;

UNWIND $keys AS key
CALL (key) {
  CALL (key) {
    WITH key WHERE key[0] = "prompt"
    MATCH (p:Prompt) WHERE p.text = key[1]
    MATCH (p)<-[:OF_PROMPT]-(c:Circuit)
    RETURN c, null AS influence
  UNION ALL
    WITH key WHERE key[0] = "label"
    MATCH (l:Label) WHERE l.text = key[1]
    MATCH (l)-[:LABELS]->(f:Feature)
    WITH DISTINCT f
    MATCH (f)<-[u:USES]-(c:Circuit)
    RETURN c, CASE WHEN count(u.influence) > 0 THEN sum(u.influence) END AS influence
  UNION ALL
    WITH key WHERE key[0] = "supernode"
    MATCH (:Concept {label: key[1]})<-[:MEANS]-(s:Supernode)<-[:HAS]-(c:Circuit)
    MATCH (s)-[:GROUPS]->(n:Node)
    WITH DISTINCT c, n
    RETURN c, CASE WHEN count(n.influence) > 0 AND count(n.influence) = count(n) THEN sum(n.influence) END AS influence
  UNION ALL
    WITH key WHERE key[0] = "token"
    MATCH (c:Circuit)-[:OF_PROMPT]->(p:Prompt)
    WHERE any(token IN p.tokens + coalesce(c.answer, "") WHERE trim(token) = key[1])
    OPTIONAL MATCH (c)-[:HAS]->(n:TokenNode)
    WHERE trim(n.token) = key[1]
    RETURN c, CASE WHEN count(n.influence) > 0 AND count(n.influence) = count(n) THEN sum(n.influence) END AS influence
  }
  // Rounded, so that sums that differ only by the order of addition are equal, and pages do not overlap.
  WITH c, round(influence, 9) AS influence
  WHERE ($families IS NULL
         OR EXISTS { (c)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(y:Family) WHERE y.name IN $families })
    AND ($transcoders IS NULL OR EXISTS { (c)-[:BY]->(t:TranscoderSet) WHERE t.id IN $transcoders })
  ORDER BY coalesce(influence, -1.0) DESC, c.id
  RETURN collect({circuit: c.id, influence: influence}) AS found
}
RETURN key, size(found) AS total, found[$skip .. $skip + $limit] AS rows,
       size([row IN found WHERE row.influence IS NULL]) AS n_unknown
