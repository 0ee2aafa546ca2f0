// Which nodes does a circuit have?
// The nodes with the most influence come first. n_unknown counts the nodes of unknown influence: they come last, and
// $min_influence leaves them out.
// $keys: ids of circuits.
// $kind: FeatureNode, ErrorNode, TokenNode or LogitNode; null means all four.
// $min_influence: least influence of a node; null means no limit.
// $pinned: whether somebody pinned the nodes in a viewer; null means no condition.
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: key | total | rows | n_unknown
//   "f8d98257b1a3c1872ea8" | 23 | ["f8d98257b1a3c1872ea8/feature:0:9:1066", "f8d98257b1a3c1872ea8/feature:3:9:1262",
//     … 18 more] | 0
:param keys => ["f8d98257b1a3c1872ea8"];
:param kind => "FeatureNode";
:param min_influence => null;
:param pinned => null;
:param skip => 0;
:param limit => 20;

UNWIND $keys AS key
CALL (key) {
  MATCH (:Circuit {id: key})-[:HAS]->(n:Node)
  WHERE ($kind IS NULL OR $kind IN labels(n)) AND ($pinned IS NULL OR coalesce(n.pinned, false) = $pinned)
  WITH n.id AS id, n.influence AS influence
  ORDER BY coalesce(influence, -1.0) DESC, id
  RETURN collect(CASE WHEN $min_influence IS NULL OR influence >= $min_influence THEN id END) AS found,
         count(*) - count(influence) AS n_unknown
}
RETURN key, size(found) AS total, found[$skip .. $skip + $limit] AS rows, n_unknown
