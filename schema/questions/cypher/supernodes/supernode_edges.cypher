// How do the supernodes of one grouping of a circuit drive each other?
// Each row adds up the direct effects of all members of one supernode on all members of another.
// $keys: lists of the id of a circuit, a method and an author; a null author means all authors.
//   groupings_of_circuit.cypher lists the ways of grouping.
// Sample answer: key | source | target | weight | n_effects
//   ["4012db4770d4d6bcd9c2", "label-and-position-v1", … 1 more] | "0af7bef611a2ff0d7237" | "54725cc7d20c7d975d16" |
//     2.44 | 7
//   ["4012db4770d4d6bcd9c2", "label-and-position-v1", … 1 more] | "7da31eccb01809cc236a" | "54725cc7d20c7d975d16" |
//     1.37 | 3
//   ["4012db4770d4d6bcd9c2", "label-and-position-v1", … 1 more] | "0af7bef611a2ff0d7237" | "7da31eccb01809cc236a" |
//     1.36 | 7
//   … 4 more rows
:param keys => [["4012db4770d4d6bcd9c2", "label-and-position-v1", null]];

UNWIND $keys AS key
MATCH (c:Circuit {id: key[0]})-[:HAS]->(s:Supernode {method: key[1]})
WHERE key[2] IS NULL OR s.author = key[2]
MATCH (s)-[:GROUPS]->(:Node)-[e:ATTRIBUTES]->(:Node)<-[:GROUPS]-(t:Supernode {method: key[1]})<-[:HAS]-(c)
WHERE s <> t AND (key[2] IS NULL OR t.author = key[2])
WITH key, s, t, sum(e.weight) AS weight, count(e) AS n_effects
RETURN key, s.id AS source, t.id AS target, weight, n_effects
ORDER BY key, abs(weight) DESC, source, target
