// In which contexts does a feature fire most?
// Contexts with the highest activation come first. `atlas examples` or a feature file writes them.
// $keys: ids of features.
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: key | total | rows
//   "organism-clt@247d388dcdf1/1/665" | 20 | [{activations: [0, 0, … 4 more], tokens: ["the", "region", … 4 more],
//     id: "organism-clt@247d388dcdf1/1/665/ea9597287c4470ee2868"}, {activations: [0, 0, … 8 more], tokens: ["the",
//     "nickname", … 8 more], id: "organism-clt@247d388dcdf1/1/665/a7f060da5f88fe8af6e9"}, … 18 more]
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
