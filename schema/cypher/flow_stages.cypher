// How much influence does each stage of circuits carry, where does it come from, and how much was pruned away?
// Stages are thirds of the model's layers (early, middle, late), then the logits. What a feature or logit carries is
// split over its inputs by their share in the unpruned graph; what is missing to 1 came from inputs that were pruned away.
// Means over the n_considered of n_circuits whose influences, shares and layers are all known. $families null: all.
// Sample answer: n_circuits | n_considered | flows
//   366 | 366 | [{stage: "early", source: "early", influence: 0.0552}, {stage: "early", source: "errors", influence:
//     0.00716}, … 19 more]
:param families => null;

OPTIONAL MATCH (c:Circuit)-[:OF_PROMPT]->(p:Prompt)
WHERE $families IS NULL OR EXISTS { (p)-[:IN_FAMILY]->(y:Family) WHERE y.name IN $families }
WITH collect(c) AS circuits
WITH circuits, [c IN circuits WHERE NOT EXISTS {
    (c)-[:HAS]->(n:FeatureNode|LogitNode) WHERE n.influence IS NULL
  } AND NOT EXISTS { (c)-[:HAS]->(:Node)-[e:ATTRIBUTES]->() WHERE e.share IS NULL }
    AND EXISTS { (c)-[:BY]->(:TranscoderSet)-[:FOR]->(m:Model) WHERE m.n_layers > 0 }] AS known
CALL (known) {
  UNWIND known AS c
  MATCH (c)-[:BY]->(:TranscoderSet)-[:FOR]->(m:Model)
  MATCH (c)-[:HAS]->(t:FeatureNode|LogitNode)
  CALL (t, m) {
    MATCH (s:Node)-[e:ATTRIBUTES]->(t)
    RETURN collect({share: e.share, source: CASE
      WHEN s:TokenNode THEN "tokens" WHEN s:ErrorNode THEN "errors" WHEN NOT s:FeatureNode THEN "other"
      ELSE ["early", "middle", "late"][3 * s.layer / m.n_layers] END}) AS inputs
  }
  WITH t, inputs, CASE WHEN t:LogitNode THEN "logits" ELSE ["early", "middle", "late"][3 * t.layer / m.n_layers] END
    AS stage
  UNWIND inputs + [{source: "pruned", share: reduce(left = 1.0, input IN inputs | left - input.share)}] AS input
  WITH stage, input.source AS source, sum(t.influence * input.share) AS influence
  ORDER BY stage, source
  RETURN collect({stage: stage, source: source, influence: influence}) AS flows
}
RETURN size(circuits) AS n_circuits, size(known) AS n_considered,
       [f IN flows | {stage: f.stage, source: f.source, influence: f.influence / size(known)}] AS flows
