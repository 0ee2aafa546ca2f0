// Which supernodes does one grouping of a circuit have?
// $keys: lists of the id of a circuit, a method and an author; a null author means all authors.
//   groupings_of_circuit.cypher lists the ways of grouping.
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: key | total | rows
//   ["f8d98257b1a3c1872ea8", "label-and-position-v1", … 1 more] | 4 | ["271f1e02a7ee6934e73b",
//     "fe33732971a29128b560", … 2 more]
:param keys => [["f8d98257b1a3c1872ea8", "label-and-position-v1", null]];
:param skip => 0;
:param limit => 20;

UNWIND $keys AS key
CALL (key) {
  MATCH (:Circuit {id: key[0]})-[:HAS]->(s:Supernode {method: key[1]})
  WHERE key[2] IS NULL OR s.author = key[2]
  WITH s
  ORDER BY coalesce(s.position, -1), s.label, s.id
  RETURN collect(s.id) AS found
}
RETURN key, size(found) AS total, found[$skip .. $skip + $limit] AS rows
