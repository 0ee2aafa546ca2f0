// Which direct effects does a circuit have, the strongest first?
// $source_kind and $target_kind: FeatureNode, ErrorNode, TokenNode, LogitNode, or null for all four.
:param keys => ["00000000000000000000"];
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
