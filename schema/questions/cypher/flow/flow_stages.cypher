// How much influence does each stage of the model carry, where does it come from, and how much was pruned away?
// The stages are thirds of the model's layers (early, middle, late), then the logits. The influence of a feature or
// logit is split over its inputs by their share in the unpruned graph; the rest up to 1 came from inputs that were
// pruned away. Values are means over the n_considered of n_circuits circuits whose influences, shares and layers are
// all known.
// The influences or shares of n_derived of them are derived; nothing is known of their pruned inputs.
// $families: names of families; null means all families.
// $transcoders: ids of transcoder sets; null means all sets.
// Sample answer: n_circuits | n_considered | n_derived | flows
//   366 | 366 | 0 | [{stage: "early", source: "early", influence: 0.0551}, {stage: "early", source: "errors",
//     influence: 0.00704}, … 19 more]
:param families => null;
:param transcoders => null;

CALL () {
  MATCH (c:Circuit)-[:OF_PROMPT]->(p:Prompt)
  WHERE ($families IS NULL OR EXISTS { (p)-[:IN_FAMILY]->(y:Family) WHERE y.name IN $families })
    AND ($transcoders IS NULL OR EXISTS { (c)-[:BY]->(t:TranscoderSet) WHERE t.id IN $transcoders })
  RETURN count(*) AS n_circuits, count(c.stage_flows) AS n_considered,
         count(CASE WHEN c.stage_flows IS NOT NULL AND c.derived IS NOT NULL THEN 1 END) AS n_derived,
         collect(c.stage_flows) AS each
}
CALL (each) {
  UNWIND each AS flows
  UNWIND range(0, size(flows) - 1) AS i
  WITH i, sum(flows[i]) AS influence
  WHERE influence <> 0
  WITH ["early", "middle", "late", "logits"][i / 7] AS stage, influence,
       ["tokens", "early", "middle", "late", "errors", "other", "pruned"][i % 7] AS source
  ORDER BY stage, source
  RETURN collect({stage: stage, source: source, influence: influence}) AS flows
}
RETURN n_circuits, n_considered, n_derived,
       [f IN flows | {stage: f.stage, source: f.source, influence: f.influence / n_considered}] AS flows
