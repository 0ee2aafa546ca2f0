// Which nodes does a circuit have, the most influential first?
// $kind: FeatureNode, ErrorNode, TokenNode, LogitNode, or null for all four.
:param keys => ["00000000000000000000"];
:param kind => "FeatureNode";
:param min_influence => null;
:param skip => 0;
:param limit => 20;

UNWIND $keys AS key
CALL (key) {
  MATCH (:Circuit {id: key})-[:HAS]->(n:Node)
  WHERE ($kind IS NULL OR $kind IN labels(n)) AND ($min_influence IS NULL OR n.influence >= $min_influence)
  WITH n.id AS id, n.influence AS influence
  ORDER BY coalesce(influence, -1.0) DESC, id
  RETURN collect(id) AS found
}
RETURN key, size(found) AS total, found[$skip .. $skip + $limit] AS rows
