// What are the properties of these features, and in how many circuits do they occur?
// One row for each feature that exists.
// $keys: ids of features.
// Sample answer: key | layer | number | transcoders | circuits
//   "organism-clt@247d388dcdf1/1/665" | 1 | 665 | "organism-clt@247d388dcdf1" | 6
:param keys => ["organism-clt@247d388dcdf1/1/665"];

UNWIND $keys AS key
MATCH (f:Feature {id: key})-[:IN]->(t:TranscoderSet)
RETURN key, f.layer AS layer, f.index AS number, t.id AS transcoders, f.n_circuits AS circuits
