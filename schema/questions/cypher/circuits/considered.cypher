// Which circuits does a selection contain, and with which settings were they made?
// One row for each combination of settings. Conditions combine with AND.
// $circuits, $families: ids of circuits, names of families; null means no condition.
// $transcoders: ids of transcoder sets; null means no condition.
// $tags, $min_tags: the prompt must have at least $min_tags of $tags. 0 means no condition, 1 any of them, the length
//   of $tags all of them.
// $tool, $slug, $creator, $source_url: properties of imported circuits; null means no condition.
// $ids: true lists the ids of the circuits. Without the ids, the question takes half the time for ten thousand
//   circuits.
// Sample answer: transcoders | model | target | node_threshold | edge_threshold | max_feature_nodes | max_edges | dtype | tool | derived | n_circuits | circuits
//   "organism-clt@247d388dcdf1" | "circuit-atlas/organism@0e36652b03e0" | "salient-logits(10, 0.95)" | 0.8 | 0.98 |
//     null | null | "float32" | null | null | 60 | ["583d85d501bdd53e6f0e", "66313711648df45a4323", … 58 more]
:param circuits => null;
:param families => ["multi-step"];
:param tags => [];
:param min_tags => 0;
:param transcoders => null;
:param tool => null;
:param slug => null;
:param creator => null;
:param source_url => null;
:param ids => true;

CALL () {
  // Start from the narrowest condition that is given, by its index. Without conditions, start from the sets.
  UNWIND $circuits AS id
  MATCH (p:Prompt)<-[:OF_PROMPT]-(c:Circuit {id: id})-[:BY]->(t:TranscoderSet)
  WHERE ($families IS NULL OR EXISTS { (p)-[:IN_FAMILY]->(f:Family) WHERE f.name IN $families })
    AND ($min_tags = 0 OR COUNT { (p)-[:TAGGED]->(g:Tag) WHERE g.name IN $tags } >= $min_tags)
    AND ($transcoders IS NULL OR t.id IN $transcoders)
  RETURN DISTINCT c, t
UNION ALL
  WITH * WHERE $circuits IS NULL
  UNWIND $families AS name
  MATCH (:Family {name: name})<-[:IN_FAMILY]-(p:Prompt)
  WHERE $min_tags = 0 OR COUNT { (p)-[:TAGGED]->(g:Tag) WHERE g.name IN $tags } >= $min_tags
  MATCH (p)<-[:OF_PROMPT]-(c:Circuit)-[:BY]->(t:TranscoderSet)
  WHERE $transcoders IS NULL OR t.id IN $transcoders
  RETURN DISTINCT c, t
UNION ALL
  WITH * WHERE $circuits IS NULL AND $families IS NULL AND $min_tags > 0
  MATCH (g:Tag)<-[:TAGGED]-(p:Prompt)
  WHERE g.name IN $tags
  WITH p, count(*) AS n
  WHERE n >= $min_tags
  MATCH (p)<-[:OF_PROMPT]-(c:Circuit)-[:BY]->(t:TranscoderSet)
  WHERE $transcoders IS NULL OR t.id IN $transcoders
  RETURN c, t
UNION ALL
  WITH * WHERE $circuits IS NULL AND $families IS NULL AND $min_tags = 0 AND $slug IS NOT NULL
  MATCH (t:TranscoderSet)<-[:BY]-(c:Circuit {slug: $slug})
  WHERE $transcoders IS NULL OR t.id IN $transcoders
  RETURN c, t
UNION ALL
  WITH * WHERE $circuits IS NULL AND $families IS NULL AND $min_tags = 0 AND $slug IS NULL AND $creator IS NOT NULL
  MATCH (t:TranscoderSet)<-[:BY]-(c:Circuit {creator: $creator})
  WHERE $transcoders IS NULL OR t.id IN $transcoders
  RETURN c, t
UNION ALL
  WITH *
  WHERE $circuits IS NULL AND $families IS NULL AND $min_tags = 0 AND $slug IS NULL AND $creator IS NULL
  MATCH (t:TranscoderSet)
  WHERE $transcoders IS NULL OR t.id IN $transcoders
  MATCH (t)<-[:BY]-(c:Circuit)
  RETURN c, t
}
WITH c, t
WHERE ($tool IS NULL OR c.tool = $tool)
  AND ($slug IS NULL OR c.slug = $slug)
  AND ($creator IS NULL OR c.creator = $creator)
  AND ($source_url IS NULL OR $source_url IN c.source_urls)
WITH t, c.target AS target, c.node_threshold AS node_threshold, c.edge_threshold AS edge_threshold,
     c.max_feature_nodes AS max_feature_nodes, c.max_edges AS max_edges, c.dtype AS dtype,
     c.tool AS tool, c.derived AS derived, count(*) AS n_circuits, collect(CASE WHEN $ids THEN c.id END) AS circuits
MATCH (t)-[:FOR]->(m:Model)
RETURN t.id AS transcoders, m.id AS model, target, node_threshold, edge_threshold, max_feature_nodes, max_edges, dtype,
       tool, derived, n_circuits, circuits
ORDER BY n_circuits DESC, transcoders, target, node_threshold, edge_threshold, max_feature_nodes, max_edges, dtype,
         tool, derived
