// Which labels are spelt most like this text?
// $vector is made of the text's groups of letters as each label's is. Neo4j's vector index finds the $near nearest, which
// holds the page asked for; it is approximate. `total` counts the labels that have a vector (`atlas label` makes them).
:param vector => [i IN range(1, 256) | 0.0625];
:param near => 20;
:param skip => 0;
:param limit => 20;

CYPHER 25
CALL () {
  MATCH (l:Label)
    SEARCH l IN (VECTOR INDEX label_vector FOR $vector LIMIT $near) SCORE AS score
  MATCH (l)-[:LABELS]->(f:Feature)
  WITH l, f, score ORDER BY score DESC, l.text, f.id
  RETURN collect({label: l.id, text: l.text, feature: f.id, cosine: 2 * score - 1}) AS found
}
RETURN COUNT { (l:Label) WHERE l.vector IS NOT NULL } AS total, found[$skip .. $skip + $limit] AS rows
