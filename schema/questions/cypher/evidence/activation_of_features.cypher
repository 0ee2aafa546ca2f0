// What is the mean activation of these features over the nodes that circuits kept?
// $keys: ids of features.
// Sample answer: key | layer | number | n_nodes | activation
//   "organism-clt@247d388dcdf1/3/330" | 3 | 330 | 30 | 3.09
:param keys => ["organism-clt@247d388dcdf1/3/330"];

UNWIND $keys AS key
MATCH (n:FeatureNode)-[:INSTANCE_OF]->(f:Feature {id: key})
RETURN key, f.layer AS layer, f.index AS number, count(n) AS n_nodes, avg(n.activation) AS activation
