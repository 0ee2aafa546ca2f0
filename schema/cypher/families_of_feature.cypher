// In which families does a feature take part, and in how many of their circuits?
// Only circuits made with the feature's own transcoder set are considered. `influence` is the mean over the circuits
// that have the feature.
// Sample answer: key | family | circuits | influence | considered
//   "organism-clt@552ee159aac5/0/1066" | "multi-step" | 9 | 0.0708 | 60
//   "organism-clt@552ee159aac5/0/1066" | "chain-of-thought" | 2 | 0.0105 | 48
:param keys => ["organism-clt@552ee159aac5/0/1066"];

UNWIND $keys AS key
MATCH (t:TranscoderSet)<-[:IN]-(f:Feature {id: key})<-[u:USES]-(:Circuit)-[:OF_PROMPT]->(:Prompt)
      -[:IN_FAMILY]->(g:Family)
WITH key, t, g, count(u) AS circuits, avg(u.influence) AS influence
RETURN key, g.name AS family, circuits, influence,
       COUNT { (t)<-[:BY]-(:Circuit)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(g) } AS considered
ORDER BY key, toFloat(circuits) / considered DESC, family
