// Which features does a circuit use?
// One row for each feature, whatever its positions. The features with the most influence come first.
// n_unknown counts the features of unknown influence, which come last.
// $keys: ids of circuits.
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: key | total | rows | n_unknown
//   "f8d98257b1a3c1872ea8" | 23 | [{circuit: "f8d98257b1a3c1872ea8", feature: "organism-clt@247d388dcdf1/0/1066",
//     positions: [9], activation: 2.81, influence: 0.101}, {circuit: "f8d98257b1a3c1872ea8", feature:
//     "organism-clt@247d388dcdf1/3/1262", positions: [9], activation: 4.04, influence: 0.0804}, … 18 more] | 0
:param keys => ["f8d98257b1a3c1872ea8"];
:param skip => 0;
:param limit => 20;

UNWIND $keys AS key
CALL (key) {
  MATCH (:Circuit {id: key})-[u:USES]->(f:Feature)
  WITH u, f
  ORDER BY coalesce(u.influence, -1.0) DESC, f.id
  RETURN collect([f.id, u]) AS found
}
RETURN key, size(found) AS total,
       [row IN found[$skip .. $skip + $limit] |
         {circuit: key, feature: row[0], influence: row[1].influence, activation: row[1].activation,
          positions: row[1].positions}] AS rows,
       size([row IN found WHERE row[1].influence IS NULL]) AS n_unknown
