// Which features do the supernodes of a label group, over all circuits of a transcoder set?
// activation: mean over the places where they were grouped; null when no file says it.
// Sample answer: layer | number | n_nodes | activation
//   0 | 207 | 29 | 2
//   0 | 453 | 30 | 2
//   0 | 562 | 29 | 2
//   … 4 more rows
:param label => "capital";
:param transcoders => "organism-clt@552ee159aac5";

MATCH (:Concept {label: $label})<-[:MEANS]-(s:Supernode)<-[:HAS]-(:Circuit)-[:BY]->(:TranscoderSet {id: $transcoders})
MATCH (s)-[:GROUPS]->(n:FeatureNode)-[:INSTANCE_OF]->(f:Feature)
WHERE f.component IS NULL
RETURN f.layer AS layer, f.index AS number, count(DISTINCT n) AS n_nodes, avg(n.activation) AS activation
ORDER BY layer, number
