"""The influence of a circuit, summed by layer and by stage.

The sums are stored with the circuit, so that questions about thousands of circuits need not read their nodes.
The stages are the early, middle and late thirds of the model's layers, and the logits. The influence of a
feature or logit is split over its inputs by their share in the unpruned graph. The difference of these shares
to 1 was pruned. Derived shares are over the kept inputs, so nothing can be said about pruned ones.

The sums are computed twice: by `influence_sums` from a record, and by `STAGE_FLOW_ROWS` in Cypher from stored
nodes.
"""

from math import fsum

from schema.circuit.records import Circuit, Derived, Node, NodeKind

STAGES = ("early", "middle", "late", "logits")
SOURCES = ("tokens", "early", "middle", "late", "errors", "other", "pruned")

MOST_LAYERS = 100_000
"""One more than the highest layer of a feature or an error."""

_SOURCE = {NodeKind.TOKEN: "tokens", NodeKind.ERROR: "errors"}


def influence_sums(circuit: Circuit) -> dict[str, list[float] | None]:
    """The properties `layer_features`, `layer_errors` and `stage_flows` of a circuit.

    `layer_features` and `layer_errors` have one element for each layer: the summed influence of the kept
    nodes. Nodes of unknown influence do not count; when the influence of all features or of all errors is
    unknown, both are None. `stage_flows` has len(STAGES) * len(SOURCES) elements, stage by stage. It is None
    unless every influence, every share and the number of the model's layers are known.
    """
    return {**_layers(circuit), "stage_flows": _flows(circuit)}


def _layers(circuit: Circuit) -> dict[str, list[float] | None]:
    kinds = {NodeKind.FEATURE: "layer_features", NodeKind.ERROR: "layer_errors"}
    carriers = [node for node in circuit.nodes if node.kind in kinds]
    known = [node for node in carriers if node.influence is not None]
    if {node.kind for node in known} != {node.kind for node in carriers}:
        return dict.fromkeys(kinds.values())
    if not known or any(node.layer < 0 for node in known):
        return dict.fromkeys(kinds.values())
    n_layers = max(node.layer for node in known) + 1
    parts: dict[str, list[list[float]]] = {name: [[] for _ in range(n_layers)] for name in kinds.values()}
    for node in known:
        parts[kinds[node.kind]][node.layer].append(node.influence or 0.0)
    return {name: [fsum(part) for part in layers] for name, layers in parts.items()}


def _flows(circuit: Circuit) -> list[float] | None:
    n_layers = circuit.model.n_layers or 0
    carriers = [node for node in circuit.nodes if node.kind in (NodeKind.FEATURE, NodeKind.LOGIT)]
    if any(node.influence is None for node in carriers) or any(edge.share is None for edge in circuit.edges):
        return None
    if any(node.kind is NodeKind.FEATURE and not 0 <= node.layer < n_layers for node in carriers):
        return None
    if not 0 < n_layers < MOST_LAYERS:
        return None
    parts: list[list[float]] = [[] for _ in range(len(STAGES) * len(SOURCES))]

    def add(stage: str, source: str, influence: float) -> None:
        parts[STAGES.index(stage) * len(SOURCES) + SOURCES.index(source)].append(influence)

    def third(node: Node) -> str:
        return STAGES[3 * node.layer // n_layers]

    stages = [
        "logits" if node.kind is NodeKind.LOGIT else third(node) if node.kind is NodeKind.FEATURE else None
        for node in circuit.nodes
    ]
    left = [1.0] * len(circuit.nodes)
    for edge in circuit.edges:
        node, stage, share = circuit.nodes[edge.source], stages[edge.target], edge.share or 0.0
        if stage is not None:
            source = third(node) if node.kind is NodeKind.FEATURE else _SOURCE.get(node.kind, "other")
            add(stage, source, (circuit.nodes[edge.target].influence or 0.0) * share)
            left[edge.target] -= share
    for node, stage, rest in zip(circuit.nodes, stages, left, strict=True):
        if stage is not None and Derived.SHARE not in circuit.derived:
            add(stage, "pruned", (node.influence or 0.0) * rest)
    return [fsum(part) for part in parts]


STAGE_FLOW_ROWS = f"""
CALL (c) {{
  MATCH (c)-[:BY]->(:TranscoderSet)-[:FOR]->(m:Model)
  WHERE m.n_layers IS :: INTEGER NOT NULL AND 0 < m.n_layers < {MOST_LAYERS}
    AND NOT EXISTS {{ (c)-[:HAS]->(n:FeatureNode|LogitNode) WHERE toFloatOrNull(n.influence) IS NULL }}
    AND NOT EXISTS {{ (c)-[:HAS]->(:Node)-[e:ATTRIBUTES]->() WHERE toFloatOrNull(e.share) IS NULL }}
    AND NOT EXISTS {{ (c)-[:HAS]->(n:FeatureNode) WHERE NOT coalesce(0 <= n.layer < m.n_layers, false) }}
  MATCH (c)-[:HAS]->(t:FeatureNode|LogitNode)
  CALL (t, m) {{
    MATCH (s:Node)-[e:ATTRIBUTES]->(t)
    RETURN collect([toFloatOrNull(e.share), CASE
      WHEN s:TokenNode THEN 0 WHEN s:ErrorNode THEN 4 WHEN NOT s:FeatureNode THEN 5
      ELSE 1 + 3 * (toIntegerOrNull(s.layer) % {MOST_LAYERS}) / m.n_layers END]) AS inputs
  }}
  WITH t, m, inputs,
       CASE WHEN c.derived IS :: LIST<STRING NOT NULL> NOT NULL THEN c.derived ELSE [] END AS derived
  UNWIND inputs + CASE WHEN "share" IN derived THEN []
    ELSE [[reduce(left = 1.0, input IN inputs | left - input[0]), 6]] END AS input
  WITH toFloatOrNull(t.influence) * input[0] AS influence,
       CASE WHEN t:LogitNode THEN 3 ELSE 3 * toIntegerOrNull(t.layer) / m.n_layers END * {len(SOURCES)}
       + input[1] AS i
  RETURN i, sum(influence) AS influence
}}
"""
"""`stage_flows` of a circuit `c` in Cypher. Rows: place `i` in the list, and its `influence`. It gives no
rows unless everything that `stage_flows` needs is known and has its declared type."""

N_FLOWS = len(STAGES) * len(SOURCES)
"""Number of elements of `stage_flows`."""
