// How much influence does each stage of a circuit carry, and where does it come from?
// Stages are thirds of the model's layers: early, middle, late; then the logits. What a node carries is split over its
// inputs by their share in the unpruned graph; the shares of inputs that were pruned away are what is missing to 1.
// Mean over the circuits whose influences and shares are all known: n_considered of n_circuits. $families null: all.
:param families => null;

MATCH (c:Circuit)-[:OF_PROMPT]->(p:Prompt)
WHERE $families IS NULL OR EXISTS { (p)-[:IN_FAMILY]->(y:Family) WHERE y.name IN $families }
MATCH (c)-[:BY]->(:TranscoderSet)-[:FOR]->(m:Model)
WITH c, m.n_layers AS n_layers,
     n_layers_known(c) AS known
RETURN 1
