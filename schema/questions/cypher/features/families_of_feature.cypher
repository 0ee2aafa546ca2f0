// In which families does a feature occur, and in how many of their circuits?
// `considered` counts the circuits of the family that were made with the feature's transcoder set. `influence` is the
// mean over the circuits that have the feature.
// $keys: ids of features.
// Sample answer: key | family | circuits | influence | considered
//   "organism-clt@247d388dcdf1/1/665" | "multi-step" | 6 | 0.03 | 60
:param keys => ["organism-clt@247d388dcdf1/1/665"];

UNWIND $keys AS key
MATCH (f:Feature {id: key})-[:IN]->(t:TranscoderSet)
MATCH (f)-[i:FOUND_IN]->(y:Family)<-[v:COVERS]-(t)
RETURN key, y.name AS family, i.n_circuits AS circuits,
       CASE WHEN i.n_measured > 0 THEN i.influence / i.n_measured END AS influence, v.n_circuits AS considered
ORDER BY key, toFloat(circuits) / considered DESC, family
