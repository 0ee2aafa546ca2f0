// Which label of each feature comes first, and under which names does Neuronpedia have the feature's set?
// Labels of people come first, then labels with the highest score. One row for each feature that exists; `label`
// is null for a feature without labels. `component` is attention for a feature of attention.
// $keys: ids of features.
// Sample answer: key | label | layer | number | component | transcoders | neuronpedia | neuronpedia_attention
//   "organism-clt@247d388dcdf1/1/665" | "fires on a / lay / oven / colorful … (24), after him / the …" | 1 | 665 |
//     null | "organism-clt" | null | null
:param keys => ["organism-clt@247d388dcdf1/1/665"];

UNWIND $keys AS key
MATCH (f:Feature {id: key})-[:IN]->(t:TranscoderSet)
CALL (f) {
  OPTIONAL MATCH (l:Label)-[:LABELS]->(f)
  WITH l ORDER BY CASE WHEN l.method = "person" THEN 0 ELSE 1 END, coalesce(l.score, -1.0) DESC, l.id LIMIT 1
  RETURN l.text AS label
}
RETURN key, label, f.layer AS layer, f.index AS number, f.component AS component, t.name AS transcoders,
       t.neuronpedia AS neuronpedia, t.neuronpedia_attention AS neuronpedia_attention
