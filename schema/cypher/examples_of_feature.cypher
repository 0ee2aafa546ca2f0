// In which contexts does a feature fire most?
// Sample answer: key | total | rows
//   "organism-clt@552ee159aac5/0/1066" | 20 | [{activations: [0, 0, … 8 more], tokens: ["the", "capital", … 8 more],
//     id: "organism-clt@552ee159aac5/0/1066/1ba8c7e9f0996bcee840"}, {activations: [0, 0, … 8 more], tokens: ["the",
//     "code", … 8 more], id: "organism-clt@552ee159aac5/0/1066/ebe4d780d40fc8a940e1"}, … 18 more]
:param keys => ["organism-clt@247d388dcdf1/1/665"];
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
