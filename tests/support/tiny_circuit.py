"""One circuit of six nodes that has something of everything."""

from dataclasses import replace
from typing import Any

from schema.circuit.records import Circuit, Edge, Label, Node, NodeKind, Prompt, Supernode
from tests.support.circuits import MODEL, TRANSCODERS


def tiny(**changes: Any) -> Circuit:
    """Two tokens, one feature at two positions driving another, one error, one logit."""
    feature = Node(NodeKind.FEATURE, 0, 1, 5, activation=2.0, influence=0.25, cumulative=0.5)
    circuit = Circuit(
        prompt=Prompt("a b", ("a", "b"), (1, 2), family="letters", tags=("short",), expected="c"),
        model=MODEL,
        transcoders=TRANSCODERS,
        target="salient-logits(10, 0.95)",
        target_position=1,
        node_threshold=0.8,
        edge_threshold=0.98,
        max_feature_nodes=None,
        dtype="float32",
        special_first_token=False,
        replacement_score=0.5,
        completeness_score=0.75,
        error_share=0.125,
        n_active_features=9,
        n_selected_features=8,
        kept_influence=0.875,
        nodes=(
            Node(NodeKind.TOKEN, -1, 1, 2, influence=0.0, token="b"),
            replace(feature, position=0, activation=1.0, influence=None),
            feature,
            replace(feature, layer=1, index=2**40, cumulative=None),
            Node(NodeKind.ERROR, 1, 1, None, influence=0.5),
            Node(NodeKind.LOGIT, 4, 1, 3, influence=0.9, token=" c", probability=0.9),
        ),
        edges=(
            Edge(0, 2, 0.5, 1.0),
            Edge(1, 3, 0.75, 0.5),
            Edge(2, 3, -0.25, 0.25),
            Edge(4, 5, 0.5, 0.25),
            Edge(3, 5, 1.5, 0.75),
        ),
        labels=(Label(0, 5, "vowels", "person", "ann"),),
        supernodes=(Supernode("letter", 1, (2, 3), "person", "ann", 0.5),),
    )
    return replace(circuit, **changes)
