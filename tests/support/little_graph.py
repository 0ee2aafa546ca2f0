"""The circuit that the little graph of tests/support/graph_files.py means."""

from dataclasses import replace
from typing import Any

from schema.circuit.derived import underived
from schema.circuit.records import Circuit, Edge, Model, Node, NodeKind, Prompt, Source, TranscoderSet
from schema.formats.graph import Given, read_graph
from tests.support.graph_files import Graph, circuit_tracer, encode

FEATURE, ERROR, TOKEN, LOGIT, OTHER = NodeKind


def circuit_of(graph: Graph, given: Given = Given()) -> Circuit:  # noqa: B008  immutable
    return read_graph(encode(graph), "hi.json", given).circuit


def expected(**changes: Any) -> dict[str, Any]:
    """The little graph's circuit, as its fields."""
    return {
        "prompt": Prompt("Hi", ("<bos>", "Hi"), (2, 7)),
        "model": Model("model of org/clt", None, None, 2, None, None),
        "transcoders": TranscoderSet(
            "org/clt", "0123456789abcdef", None, None, None, None, None, "model of org/clt"
        ),
        "target": None,
        "target_position": 1,
        "node_threshold": 0.8,
        "edge_threshold": None,
        "max_feature_nodes": None,
        "dtype": None,
        "special_first_token": None,
        "replacement_score": None,
        "completeness_score": None,
        "error_share": None,
        "n_active_features": None,
        "n_selected_features": None,
        "kept_influence": None,
        "nodes": (
            Node(FEATURE, 0, 1, 3, 1.5, None, 0.25),
            Node(FEATURE, 1, 1, 40000, 2.5, None, 0.5),
            Node(ERROR, 1, 1, None, None, None, 0.75),
            Node(TOKEN, -1, 0, 2, None, None, 0.9, "<bos>"),
            Node(TOKEN, -1, 1, 7, None, None, 1.0, "Hi"),
            Node(LOGIT, 2, 1, 11, None, 0.6, None, " you", 0.6),
            Node(LOGIT, 2, 1, 12, None, 0.3, None, ".", 0.3),
        ),
        "edges": (
            Edge(4, 0, 1.0, None),
            Edge(0, 1, -0.5, None),
            Edge(1, 5, 2.0, None),
            Edge(2, 5, 0.125, None),
        ),
        "source": Source("circuit-tracer", "hi", "org/clt@0123456789abcdef"),
        **changes,
    }


def read_part(circuit: Circuit) -> Circuit:
    """The circuit without the sections of its file that are kept unread; they have tests of their own."""
    assert circuit.source is not None
    return replace(
        circuit, source=replace(circuit.source, file_metadata=None, file_view=None, file_layout=None)
    )


def same(circuit: Circuit, **changes: Any) -> None:
    """Compares what was read; tests/schema/circuit/test_derived.py compares what was derived from it."""
    circuit = underived(read_part(circuit))
    assert circuit == Circuit(**expected(**changes), content=circuit.content)


def changed(path: str, value: Any) -> Graph:
    """The little graph with one value replaced; None: removed."""
    graph: Any = circuit_tracer()
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    target = graph
    for part in parents:
        target = target[part]
    target[last] = value
    return graph
