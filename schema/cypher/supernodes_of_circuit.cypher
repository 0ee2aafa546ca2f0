// Which supernodes does a circuit have?
// Sample answer: key | total | rows
//   "52fae534bf544daf8271" | 3 | ["276a508ab76da73f9326", "580c42dea366ed08fa76", … 1 more]
:param keys => ["52fae534bf544daf8271"];
:param skip => 0;
:param limit => 20;

UNWIND $keys AS key
CALL (key) {
  MATCH (:Circuit {id: key})-[:HAS]->(s:Supernode)
  WITH s
  ORDER BY coalesce(s.position, -1), s.label, s.id
  RETURN collect(s.id) AS found
}
RETURN key, size(found) AS total, found[$skip .. $skip + $limit] AS rows
