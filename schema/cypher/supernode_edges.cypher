// How do the supernodes of a circuit drive each other?
// Each row merges the direct effects of all members of one supernode on all members of another.
:param keys => ["00000000000000000000"];

UNWIND $keys AS key
MATCH (c:Circuit {id: key})-[:HAS]->(s:Supernode)-[:GROUPS]->(:FeatureNode)-[e:ATTRIBUTES]->(:FeatureNode)
      <-[:GROUPS]-(t:Supernode)<-[:HAS]-(c)
WHERE s <> t
WITH key, s, t, sum(e.weight) AS weight, count(e) AS n_effects
RETURN key, s.id AS source, t.id AS target, weight, n_effects
ORDER BY key, abs(weight) DESC, source, target
