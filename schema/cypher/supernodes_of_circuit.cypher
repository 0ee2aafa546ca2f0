// Which supernodes does a circuit have, of one way of grouping its features?
// Each key is a circuit, a method and an author; null: all authors. groupings_of_circuit.cypher lists what there is.
// Sample answer: key | total | rows
//   ["52fae534bf544daf8271", "label-and-position-v1", … 1 more] | 3 | ["276a508ab76da73f9326",
//     "580c42dea366ed08fa76", … 1 more]
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
