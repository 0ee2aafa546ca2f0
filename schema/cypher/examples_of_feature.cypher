// In which contexts does a feature fire most?
:param keys => ["some-transcoders@000000000000/0/1"];
:param skip => 0;
:param limit => 20;

UNWIND $keys AS key
MATCH (f:Feature {id: key})
CALL (f) {
  MATCH (e:Example)-[:EXAMPLE_OF]->(f)
  WITH e
  ORDER BY coalesce(e.maximum, 0.0) DESC, e.id
  SKIP $skip LIMIT $limit
  RETURN collect({id: e.id, tokens: e.tokens, activations: e.activations}) AS rows
}
RETURN key, COUNT { (f)<-[:EXAMPLE_OF]-() } AS total, rows
