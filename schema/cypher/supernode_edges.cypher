// How do the supernodes of a circuit drive each other?
// Each row merges the direct effects of all members of one supernode on all members of another.
// Sample answer: key | source | target | weight | n_effects
//   "0f7c5439903d76471e7c" | "4e3092e8c352aa1d7f62" | "c7b57d4409689b6c4679" | 0.534 | 2
:param keys => ["0f7c5439903d76471e7c"];

UNWIND $keys AS key
MATCH (c:Circuit {id: key})-[:HAS]->(s:Supernode)-[:GROUPS]->(:FeatureNode)-[e:ATTRIBUTES]->(:FeatureNode)
      <-[:GROUPS]-(t:Supernode)<-[:HAS]-(c)
WHERE s <> t
WITH key, s, t, sum(e.weight) AS weight, count(e) AS n_effects
RETURN key, s.id AS source, t.id AS target, weight, n_effects
ORDER BY key, abs(weight) DESC, source, target
