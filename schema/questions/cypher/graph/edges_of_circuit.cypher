// Which direct effects does a circuit have?
// The strongest effects come first.
// $keys: ids of circuits.
// $source_kind, $target_kind: FeatureNode, ErrorNode, TokenNode or LogitNode; null means all four.
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: key | total | rows
//   "f8d98257b1a3c1872ea8" | 175 | [{head_weights: [1.41, 0.894, … 1 more], weight: 4.16, share: 0.959, source:
//     "f8d98257b1a3c1872ea8/token:-1:2:347", heads: ["0/3", "0/2", … 1 more], target:
//     "f8d98257b1a3c1872ea8/feature:0:2:742"}, {head_weights: [-0.00914, 0.0023, … 1 more], weight: 2.49, share:
//     0.0769, source: "f8d98257b1a3c1872ea8/feature:3:9:1262", heads: ["5/0", "5/1", … 1 more], target:
//     "f8d98257b1a3c1872ea8/logit:6:9:259"}, … 18 more]
:param keys => ["f8d98257b1a3c1872ea8"];
:param source_kind => null;
:param target_kind => null;
:param skip => 0;
:param limit => 20;

UNWIND $keys AS key
CALL (key) {
  MATCH (:Circuit {id: key})-[:HAS]->(s:Node)-[e:ATTRIBUTES]->(t:Node)
  WHERE ($source_kind IS NULL OR $source_kind IN labels(s)) AND ($target_kind IS NULL OR $target_kind IN labels(t))
  WITH s, e, t
  ORDER BY abs(e.weight) DESC, s.id, t.id
  RETURN collect(e) AS found
}
RETURN key, size(found) AS total,
       [e IN found[$skip .. $skip + $limit] |
         {source: startNode(e).id, target: endNode(e).id, weight: e.weight, share: e.share,
          heads: coalesce(e.heads, []), head_weights: coalesce(e.head_weights, [])}] AS rows
