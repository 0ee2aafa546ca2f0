// Along which chains of direct effects does a source act on a target, in each of these circuits?
// `product` is the product of the signed weights. `flow` is the product of the effects' shares of the inputs of their
// targets, with the sign of `product`: the part of the target that comes along this chain. If `total` is $bound + 1,
// there are more chains than the question looks at.
// $circuits: ids of circuits.
// $source_kind, $target_kind: feature, token, logit or supernode.
// $source, $target: the id of a feature, the text of a token or logit (spaces around it are ignored), or the label of
//   a supernode, which stands for its members.
// $max_length: greatest number of effects in a chain.
// $min_weight: least |weight| of each effect.
// $bound: greatest number of chains.
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: total | rows
//   70 | [{product: 5.69, nodes: ["f8d98257b1a3c1872ea8/token:-1:8:414", "f8d98257b1a3c1872ea8/feature:0:9:1066", … 2
//     more], circuit: "f8d98257b1a3c1872ea8", weights: [1.82, 1.43, … 1 more], flow: 0.00333}, {product: 3.36, nodes:
//     ["f8d98257b1a3c1872ea8/token:-1:8:414", "f8d98257b1a3c1872ea8/feature:0:9:1066", … 2 more], circuit:
//     "f8d98257b1a3c1872ea8", weights: [1.82, 0.743, … 1 more], flow: 0.00402}, … 18 more]
:param circuits => ["f8d98257b1a3c1872ea8"];
:param source_kind => "token";
:param source => "dallas";
:param target_kind => "logit";
:param target => "austin";
:param max_length => 3;
:param min_weight => 0.01;
:param bound => 100000;
:param skip => 0;
:param limit => 20;

MATCH (c:Circuit)
WHERE c.id IN $circuits
// A circuit has few nodes; a feature can be in thousands of circuits.
CALL (c) {
  WITH c WHERE $source_kind = "feature"
  MATCH (f:Feature {id: $source})
  MATCH (c)-[:HAS]->(n:FeatureNode)
  WHERE n.index = f.index AND n.layer = f.layer AND EXISTS { (n)-[:INSTANCE_OF]->(f) }
  RETURN n
UNION
  WITH c WHERE $source_kind = "supernode"
  MATCH (c)-[:HAS]->(:Supernode {label: $source})-[:GROUPS]->(n:Node)
  RETURN n
UNION
  WITH c WHERE $source_kind = "token"
  MATCH (c)-[:HAS]->(n:TokenNode)
  WHERE trim(n.token) = trim($source)
  RETURN n
UNION
  WITH c WHERE $source_kind = "logit"
  MATCH (c)-[:HAS]->(n:LogitNode)
  WHERE trim(n.token) = trim($source)
  RETURN n
}
WITH c, n AS s
CALL (c) {
  WITH c WHERE $target_kind = "feature"
  MATCH (f:Feature {id: $target})
  MATCH (c)-[:HAS]->(n:FeatureNode)
  WHERE n.index = f.index AND n.layer = f.layer AND EXISTS { (n)-[:INSTANCE_OF]->(f) }
  RETURN n
UNION
  WITH c WHERE $target_kind = "supernode"
  MATCH (c)-[:HAS]->(:Supernode {label: $target})-[:GROUPS]->(n:Node)
  RETURN n
UNION
  WITH c WHERE $target_kind = "token"
  MATCH (c)-[:HAS]->(n:TokenNode)
  WHERE trim(n.token) = trim($target)
  RETURN n
UNION
  WITH c WHERE $target_kind = "logit"
  MATCH (c)-[:HAS]->(n:LogitNode)
  WHERE trim(n.token) = trim($target)
  RETURN n
}
WITH c, s, n AS t
CALL (s, t) {
  WITH s, t WHERE $max_length >= 1
  MATCH p = (s) (()-[e:ATTRIBUTES]->() WHERE abs(e.weight) >= $min_weight){1} (t)
  RETURN nodes(p) AS steps, relationships(p) AS effects
UNION ALL
  WITH s, t WHERE $max_length >= 2
  MATCH p = (s) (()-[e:ATTRIBUTES]->() WHERE abs(e.weight) >= $min_weight){2} (t)
  RETURN nodes(p) AS steps, relationships(p) AS effects
UNION ALL
  WITH s, t WHERE $max_length >= 3
  MATCH p = (s) (()-[e:ATTRIBUTES]->() WHERE abs(e.weight) >= $min_weight){3} (t)
  RETURN nodes(p) AS steps, relationships(p) AS effects
UNION ALL
  WITH s, t WHERE $max_length >= 4
  MATCH p = (s) (()-[e:ATTRIBUTES]->() WHERE abs(e.weight) >= $min_weight){4} (t)
  RETURN nodes(p) AS steps, relationships(p) AS effects
UNION ALL
  WITH s, t WHERE $max_length >= 5
  MATCH p = (s) (()-[e:ATTRIBUTES]->() WHERE abs(e.weight) >= $min_weight){5} (t)
  RETURN nodes(p) AS steps, relationships(p) AS effects
}
WITH c, steps, effects
LIMIT $bound + 1
WITH c, [step IN steps | step.id] AS nodes, [e IN effects | e.weight] AS weights,
     reduce(product = 1.0, e IN effects | product * e.weight) AS product,
     reduce(flow = 1.0, e IN effects | flow * e.share) AS flow
ORDER BY abs(product) DESC, size(nodes), nodes
WITH collect({circuit: c.id, nodes: nodes, weights: weights, product: product,
              flow: CASE WHEN product < 0 THEN -flow ELSE flow END}) AS found
RETURN size(found) AS total, found[$skip .. $skip + $limit] AS rows
