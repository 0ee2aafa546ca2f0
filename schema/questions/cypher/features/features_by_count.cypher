// Which features occur in the most circuits?
// $min_circuits: least number of circuits that have the feature.
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: total | rows
//   1632 | ["organism-clt@247d388dcdf1/0/463", "organism-clt@247d388dcdf1/0/866", … 18 more]
:param min_circuits => 2;
:param skip => 0;
:param limit => 20;

CALL () {
  MATCH (f:Feature)
  WHERE f.n_circuits >= $min_circuits
  RETURN count(f) AS total
}
CALL () {
  // The index holds the features in this order, so beyond the page the query reads only ties with its last feature.
  MATCH (f:Feature)
  WHERE f.n_circuits >= $min_circuits
  WITH f
  ORDER BY f.n_circuits DESC, f.id
  SKIP $skip LIMIT $limit
  RETURN collect(f.id) AS rows
}
RETURN total, rows
