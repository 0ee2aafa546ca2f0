// Which labels are spelt most like this text?
// The search in Neo4j's vector index is approximate. `total` counts the labels that have a vector; `atlas label`
// writes the vectors.
// $vector: the vector of the text, made from its groups of letters like the vector of each label. The sample is the
//   vector of the first label.
// $near: how many neighbours the index returns; at least $skip + $limit.
// $skip, $limit: the page, as numbers of rows.
// Sample answer: total | rows
//   4278 | [{feature: "organism-clt@247d388dcdf1/0/932", cosine: 1, label: "deafce532b7b97e28536", text: "": fires on
//     " 85%, in 4%, opposite 3%; promotes boise, from…"}, {feature: "organism-clt@247d388dcdf1/1/1275", cosine:
//     0.699, label: "df775586d9f9b39350de", text: "say montgomery: fires on ordinary 34%, point 9%, one 8%; pr…"}, …
//     18 more]
:param vector => coalesce(COLLECT { MATCH (l:Label) WHERE l.vector IS NOT NULL RETURN l.vector ORDER BY l.text, l.id LIMIT 1 }[0], [i IN range(1, 256) | 0.0625]);
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
