// Which families of prompts exist, and how well are their circuits explained?
// Scores are means over the circuits that have the score; n_derived counts the circuits
// with derived values. The accuracy is n_correct / n_judged; n_judged counts the
// circuits whose expected token is known. If `n_settings` is above 1, the scores mix circuits of different
// transcoder sets, thresholds or tools, which `settings` lists.
// $names: names of families; null means all families.
// $means: false leaves out all that is computed over circuits, but for their number, which takes a fifth of the time.
// $tags: false leaves out the tags.
// Sample answer: name | n_prompts | n_circuits | replacement_score | completeness_score | error_share | n_derived | n_judged | n_correct | n_settings | settings | tags
//   "arithmetic" | 40 | 40 | 0.933 | 0.982 | 0.0374 | 0 | 40 | 40 | 1 | [{node_threshold: 0.8, max_edges: null,
//     max_feature_nodes: null, dtype: "float32", transcoders: "organism-clt@247d388dcdf1", model:
//     "circuit-atlas/organism@0e36652b03e0", derived: null, tool: null, edge_threshold: 0.98, target:
//     "salient-logits(10, 0.95)"}] | ["first:0", "first:10", … 106 more]
//   "chain-of-thought" | 48 | 48 | 0.895 | 0.969 | 0.0712 | 0 | 48 | 48 | 1 | [{node_threshold: 0.8, max_edges: null,
//     max_feature_nodes: null, dtype: "float32", transcoders: "organism-clt@247d388dcdf1", model:
//     "circuit-atlas/organism@0e36652b03e0", derived: null, tool: null, edge_threshold: 0.98, target:
//     "salient-logits(10, 0.95)"}] | ["faithful", "function:cosine", … 31 more]
//   "entities" | 32 | 32 | 0.87 | 0.957 | 0.112 | 0 | 32 | 32 | 1 | [{node_threshold: 0.8, max_edges: null,
//     max_feature_nodes: null, dtype: "float32", transcoders: "organism-clt@247d388dcdf1", model:
//     "circuit-atlas/organism@0e36652b03e0", derived: null, tool: null, edge_threshold: 0.98, target:
//     "salient-logits(10, 0.95)"}] | ["answer:basketball", "answer:boxing", … 42 more]
//   … 5 more rows
:param names => null;
:param means => true;
:param tags => true;

MATCH (f:Family)
WHERE $names IS NULL OR f.name IN $names
CALL (f) {
  WITH * WHERE $means
  OPTIONAL MATCH (f)<-[:IN_FAMILY]-(:Prompt)<-[:OF_PROMPT]-(c:Circuit)-[:BY]->(t:TranscoderSet)-[:FOR]->(m:Model)
  WITH f, count(DISTINCT c) AS n_circuits, avg(c.replacement_score) AS replacement_score,
       avg(c.completeness_score) AS completeness_score, avg(c.error_share) AS error_share,
       count(DISTINCT CASE WHEN c.derived IS NOT NULL THEN c END) AS n_derived, count(c.correct) AS n_judged,
       count(CASE WHEN c.correct THEN 1 END) AS n_correct,
       collect(DISTINCT CASE WHEN c IS NOT NULL THEN
         {transcoders: t.id, model: m.id, target: c.target, node_threshold: c.node_threshold,
          edge_threshold: c.edge_threshold, max_feature_nodes: c.max_feature_nodes, max_edges: c.max_edges,
          dtype: c.dtype, tool: c.tool, derived: c.derived} END) AS settings
  RETURN n_circuits, replacement_score, completeness_score, error_share, n_derived, n_judged, n_correct, settings
UNION ALL
  // Counts alone read no property of a circuit.
  WITH * WHERE NOT $means
  OPTIONAL MATCH (f)<-[:IN_FAMILY]-(p:Prompt)
  WITH f, sum(CASE WHEN p IS NULL THEN 0 ELSE COUNT { (p)<-[:OF_PROMPT]-() } END) AS n_circuits
  RETURN n_circuits, null AS replacement_score, null AS completeness_score, null AS error_share, 0 AS n_derived,
         0 AS n_judged, 0 AS n_correct, [] AS settings
}
RETURN f.name AS name, COUNT { (f)<-[:IN_FAMILY]-() } AS n_prompts, n_circuits, replacement_score,
       completeness_score, error_share, n_derived, n_judged, n_correct, size(settings) AS n_settings, settings,
       CASE WHEN $tags THEN
         COLLECT { MATCH (f)<-[:IN_FAMILY]-(:Prompt)-[:TAGGED]->(g:Tag) RETURN DISTINCT g.name AS tag ORDER BY tag }
       ELSE [] END AS tags
ORDER BY name
