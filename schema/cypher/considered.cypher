// Which circuits are meant, and under which settings were they made?
// What is given combines with AND: a circuit is one of $circuits (when given), of one of $families (when given), made
// with one of $transcoders (when given), and its prompt has at least $min_tags of $tags: 1 means any of them, the length
// of the list means all of them. One row for each combination of settings, with the ids of its circuits.
// Sample answer: transcoders | target | node_threshold | edge_threshold | max_feature_nodes | dtype | circuits
//   "organism-clt@552ee159aac5" | "salient-logits(10, 0.95)" | 0.8 | 0.98 | null | "float32" |
//     ["52fae534bf544daf8271", "8e0a2cde1f7dea1c9d1c", … 58 more]
:param circuits => null;
:param families => ["multi-step"];
:param tags => [];
:param min_tags => 0;
:param transcoders => null;

MATCH (c:Circuit)-[:OF_PROMPT]->(p:Prompt), (c)-[:BY]->(t:TranscoderSet)
WHERE ($circuits IS NULL OR c.id IN $circuits)
  AND ($transcoders IS NULL OR t.id IN $transcoders)
  AND ($families IS NULL OR EXISTS { (p)-[:IN_FAMILY]->(f:Family) WHERE f.name IN $families })
  AND ($min_tags = 0 OR COUNT { (p)-[:TAGGED]->(g:Tag) WHERE g.name IN $tags } >= $min_tags)
RETURN t.id AS transcoders, c.target AS target, c.node_threshold AS node_threshold,
       c.edge_threshold AS edge_threshold, c.max_feature_nodes AS max_feature_nodes, c.dtype AS dtype,
       collect(DISTINCT c.id) AS circuits
ORDER BY size(circuits) DESC, transcoders, target, node_threshold, edge_threshold, max_feature_nodes, dtype
