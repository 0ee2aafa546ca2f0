// Which features do the supernodes of a label group, over all circuits of a transcoder set?
// activation: mean over the places where they were grouped; null when no file says it.
:param label => "say texas";
:param transcoders => "organism-clt@552ee159aac5";

MATCH (:Concept {label: $label})<-[:MEANS]-(s:Supernode)<-[:HAS]-(:Circuit)-[:BY]->(:TranscoderSet {id: $transcoders})
MATCH (s)-[:GROUPS]->(n:FeatureNode)-[:INSTANCE_OF]->(f:Feature)
WHERE f.component IS NULL
RETURN f.layer AS layer, f.index AS number, count(DISTINCT n) AS n_nodes, avg(n.activation) AS activation
ORDER BY layer, number
