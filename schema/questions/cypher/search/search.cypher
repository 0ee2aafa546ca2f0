// Which prompts, labels, supernodes and tokens contain these words?
// One row for each text: the number of circuits where it occurs and, for a label, the number of its features. The
// text that equals $exact comes first, then texts that occur in the most circuits.
// $text: a full-text query.
// $words: the words of the query in lower case. A token must begin with one of them.
// $exact: the whole search text in lower case.
// $kinds: any of prompt, label, supernode and token.
// $families, $transcoders: names of families, ids of transcoder sets; only their circuits count, and texts that
//   occur in none of them are left out. null means no condition.
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: total | rows
//   8 | [{n_circuits: 17, kind: "label", text: "say angina: fires on : 33%, / 12%, tangent 8%; promotes ang…",
//     n_features: 1}, {n_circuits: 14, kind: "label", text: "say texas: fires on capital 37%, is 17%, : 16%; promotes
//     te…", n_features: 1}, … 6 more]
:param text => "+(\"texas\" texas*)";
:param words => ["texas"];
:param exact => "texas";
:param kinds => ["prompt", "label", "supernode", "token"];
:param families => null;
:param transcoders => null;
:param skip => 0;
:param limit => 20;

CALL () {
  WITH $kinds AS kinds WHERE "prompt" IN kinds
  CALL db.index.fulltext.queryNodes("prompt_text", $text) YIELD node
  OPTIONAL MATCH (node)<-[:OF_PROMPT]-(c:Circuit)
  RETURN "prompt" AS kind, node.text AS text, c, null AS f
UNION ALL
  WITH $kinds AS kinds WHERE "label" IN kinds
  CALL db.index.fulltext.queryNodes("label_text", $text) YIELD node
  MATCH (node)-[:LABELS]->(f:Feature)
  WITH DISTINCT node.text AS text, f
  OPTIONAL MATCH (f)<-[:USES]-(c:Circuit)
  RETURN "label" AS kind, text, c, f
UNION ALL
  WITH $kinds AS kinds WHERE "supernode" IN kinds
  MATCH (k:Concept)
  WHERE all(word IN $words WHERE toLower(k.label) =~ "(?sU).*\\b" + word + ".*")
  MATCH (k)<-[:MEANS]-(:Supernode)<-[:HAS]-(c:Circuit)
  RETURN DISTINCT "supernode" AS kind, k.label AS text, c, null AS f
UNION ALL
  WITH $kinds AS kinds WHERE "token" IN kinds
  MATCH (c:Circuit)-[:OF_PROMPT]->(p:Prompt)
  UNWIND p.tokens + coalesce(c.answer, "") AS token
  WITH c, trim(token) AS text
  WHERE any(word IN $words WHERE toLower(text) STARTS WITH word)
  RETURN DISTINCT "token" AS kind, text, c, null AS f
}
WITH kind, text, c, f
WHERE ($families IS NULL
       OR EXISTS { (c)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(y:Family) WHERE y.name IN $families })
  AND ($transcoders IS NULL OR EXISTS { (c)-[:BY]->(t:TranscoderSet) WHERE t.id IN $transcoders })
WITH kind, text, count(DISTINCT c) AS n_circuits, count(DISTINCT f) AS n_features
ORDER BY toLower(text) = $exact DESC, n_circuits DESC, kind, text
WITH collect({kind: kind, text: text, n_circuits: n_circuits, n_features: n_features}) AS found
RETURN size(found) AS total, found[$skip .. $skip + $limit] AS rows
