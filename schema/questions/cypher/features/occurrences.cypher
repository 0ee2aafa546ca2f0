// At which positions of a circuit does a feature occur, and on which logits does it act directly?
// One row for each position. The query looks up both ends before the relationship between them, because a common
// feature is in far more circuits than a circuit has features.
// $keys: pairs of the id of a circuit and the id of a feature.
// Sample answer: key | node | position | position_from_end | token | activation | influence | logits
//   ["f8d98257b1a3c1872ea8", "organism-clt@247d388dcdf1/1/665"] | "f8d98257b1a3c1872ea8/feature:1:9:665" | 9 | 0 |
//     "is" | 2.24 | 0.0273 | [{node: "f8d98257b1a3c1872ea8/logit:6:9:259", weight: 0.708, share: 0.0219}]
:param keys => [["f8d98257b1a3c1872ea8", "organism-clt@247d388dcdf1/1/665"]];

UNWIND $keys AS key
MATCH (p:Prompt)<-[:OF_PROMPT]-(c:Circuit {id: key[0]})-[u:USES]->(f:Feature {id: key[1]})
USING INDEX c:Circuit(id)
USING INDEX f:Feature(id)
UNWIND u.positions AS position
MATCH (n:Node {id: key[0] + "/feature:" + f.layer + ":" + position + ":" + f.index
               + coalesce(":" + f.component, "")})
RETURN key, n.id AS node, position, n.position_from_end AS position_from_end,
       p.tokens[position] AS token, n.activation AS activation, n.influence AS influence,
       COLLECT {
         MATCH (n)-[e:ATTRIBUTES]->(l:LogitNode)
         RETURN {node: l.id, weight: e.weight, share: e.share}
         ORDER BY abs(e.weight) DESC, l.id
       } AS logits
ORDER BY key, position
