// Which features are in most circuits?
// Sample answer: total | rows
//   1633 | ["organism-clt@247d388dcdf1/0/463", "organism-clt@247d388dcdf1/0/866", … 18 more]
:param min_circuits => 2;
:param skip => 0;
:param limit => 20;

CALL () {
  MATCH (f:Feature)
  WHERE f.n_circuits >= $min_circuits
  RETURN count(f) AS total
}
CALL () {
  // The index holds them in this order, so only ties with the last one of the page are looked at beyond it.
  MATCH (f:Feature)
  WHERE f.n_circuits >= $min_circuits
  WITH f
  ORDER BY f.n_circuits DESC, f.id
  SKIP $skip LIMIT $limit
  RETURN collect(f.id) AS rows
}
RETURN total, rows
