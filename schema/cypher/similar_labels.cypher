// Which labels are spelt most like this text?
// $vector is made of the text's groups of letters as each label's is; the sample is the first label's. Neo4j's vector
// index finds the $near nearest, which holds the page asked for; it is approximate. `total` counts the labels that have a
// vector (`atlas label` makes them).
// Sample answer: total | rows
//   3968 | [{feature: "organism-clt@552ee159aac5/0/1270", cosine: 1, label: "6a79d3764e5db8c0562c", text: "": fires
//     on " 92%, carter 2%, of 1%; promotes 真, vrai, true"}, {feature: "organism-clt@552ee159aac5/3/207", cosine:
//     0.641, label: "724199743c2677059c90", text: "say ": fires on -> 21%, : 12%, de 6%; promotes ", calc, c"}, … 18
//     more]
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
