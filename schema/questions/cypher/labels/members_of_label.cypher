// Which features do the supernodes with one label group, over all circuits of a transcoder set?
// One row for each way of grouping; all people together are one way. The best way comes first, as in
// groupings.cypher. `activation` is the mean over the nodes that were grouped; null when no file gives it.
// $label: the label.
// $author: only supernodes of this author; null means all authors.
// $transcoders: id of the transcoder set.
// Sample answer: method | author | scored | n_circuits | members
//   "label-and-position-v1" | "atlas" | false | 30 | [{number: 207, n_nodes: 30, activation: 2.16, layer: 0},
//     {number: 453, n_nodes: 30, activation: 2.16, layer: 0}, … 5 more]
:param label => "capital";
:param author => null;
:param transcoders => "organism-clt@247d388dcdf1";

MATCH (:Concept {label: $label})<-[:MEANS]-(s:Supernode)<-[:HAS]-(c:Circuit)-[:BY]->(:TranscoderSet {id: $transcoders})
WHERE $author IS NULL OR s.author = $author
WITH s.method AS method, CASE WHEN s.method <> "person" THEN s.author END AS one_author, collect(s) AS supernodes,
     count(s.score) > 0 AS scored, count(DISTINCT c) AS n_circuits
CALL (supernodes) {
  UNWIND supernodes AS s
  MATCH (s)-[:GROUPS]->(n:FeatureNode)
  WITH DISTINCT n
  MATCH (n)-[:INSTANCE_OF]->(f:Feature)
  WHERE f.component IS NULL
  WITH f, count(n) AS n_nodes, avg(n.activation) AS activation
  ORDER BY f.layer, f.index
  RETURN collect({layer: f.layer, number: f.index, n_nodes: n_nodes, activation: activation}) AS members
}
WITH method, one_author, scored, n_circuits, members
WHERE size(members) > 0
RETURN method, one_author AS author, scored, n_circuits, members
ORDER BY scored DESC, n_circuits DESC, method, author
