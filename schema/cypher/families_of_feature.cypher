// In which families does a feature take part, and in how many of their circuits?
// Only circuits made with the feature's own transcoder set are considered. `influence` is the mean over the circuits
// that have the feature.
:param keys => ["some-transcoders@000000000000/0/1"];

UNWIND $keys AS key
MATCH (t:TranscoderSet)<-[:IN]-(f:Feature {id: key})<-[u:USES]-(:Circuit)-[:OF_PROMPT]->(:Prompt)
      -[:IN_FAMILY]->(g:Family)
WITH key, t, g, count(u) AS circuits, avg(u.influence) AS influence
RETURN key, g.name AS family, circuits, influence,
       COUNT { (t)<-[:BY]-(:Circuit)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(g) } AS considered
ORDER BY key, toFloat(circuits) / considered DESC, family
