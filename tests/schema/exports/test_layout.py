"""An imported file comes out of an export as it went in, whatever its dialect, order, forms and keys."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from schema.circuit.canonical import canonical
from schema.circuit.records import Circuit, Label, NodeKind, Supernode
from schema.exports.graph_json import encode as exported
from schema.exports.graph_json import to_json
from schema.exports.layout import LIMIT
from schema.formats.graph import Given, read_graph
from tests.support.drawn_graphs import graph_files
from tests.support.graph_files import ALL, Graph, anthropic, circuit_tracer, encode, neuronpedia


def export(circuit: Circuit) -> Graph:
    """The exported file without what the atlas adds."""
    graph: Graph = json.loads(exported(to_json(circuit)))
    del graph["metadata"]["atlas"]
    return graph


@settings(max_examples=150, deadline=None)
@given(graph_files())
def test_an_export_equals_the_file_and_is_the_same_circuit(graph: Graph) -> None:
    circuit = read_graph(encode(graph), "a.json", Given("model", "set")).circuit
    assert export(circuit) == graph
    again = read_graph(exported(to_json(circuit)), "b.json").circuit
    assert again == circuit
    assert again.id == circuit.id


@pytest.mark.parametrize("method", ["viewer", "explanation"])
def test_labels_of_another_file_are_not_in_the_export(method: str) -> None:
    graph = neuronpedia()
    circuit = read_graph(encode(graph), "a.json").circuit
    theirs = Label(1, 40000, "of another file", method, "neuronpedia")
    assert export(replace(circuit, labels=(*circuit.labels, theirs))) == graph


@pytest.mark.parametrize("name", ALL)
def test_numbers_and_booleans_keep_their_kind(name: str) -> None:
    graph = ALL[name]()
    graph["nodes"][0] |= {"is_target_logit": 0, "run_idx": False, "huge": 2**200}
    found = export(read_graph(encode(graph), "a.json").circuit)
    assert json.dumps(found["nodes"], sort_keys=True) == json.dumps(graph["nodes"], sort_keys=True)


def test_labels_of_the_atlas_fill_empty_clerps_only() -> None:
    circuit = read_graph(encode(neuronpedia()), "a.json").circuit
    ours: tuple[Label, ...] = (
        Label(0, 3, "ours", "person", "ann"),
        Label(1, 40000, "theirs", "viewer", "bob"),
    )
    clerps = {node["node_id"]: node["clerp"] for node in neuronpedia()["nodes"]}
    assert clerps["0_3_1"] == "greetings"
    found = export(replace(circuit, labels=circuit.labels + ours))
    assert {node["node_id"]: node["clerp"] for node in found["nodes"]} == clerps
    ours = (Label(1, 40000, "ours", "person", "ann"),)
    found = export(replace(circuit, labels=circuit.labels + ours))
    assert {node["node_id"]: node["clerp"] for node in found["nodes"]} == clerps | {"1_40000_1": "ours"}


@pytest.mark.parametrize("empty", [{"clerp": ""}, {"clerp": None}, {}])
def test_an_export_with_labels_of_the_atlas_is_read_as_the_same_circuit(empty: Graph) -> None:
    graph = neuronpedia()
    node = next(node for node in graph["nodes"] if node["node_id"] == "1_40000_1")
    del node["clerp"]
    node |= empty
    circuit = read_graph(encode(graph), "a.json").circuit
    labelled = canonical(replace(circuit, labels=(*circuit.labels, Label(1, 40000, "ours", "person", "ann"))))
    written = to_json(labelled)
    assert read_graph(exported(written), "b.json").circuit == labelled
    next(node for node in written["nodes"] if node["node_id"] == "1_40000_1")["clerp"] = "edited"
    edited = read_graph(exported(written), "b.json").circuit
    assert {label.text for label in edited.labels} == {label.text for label in labelled.labels} | {"edited"}
    assert export(edited) == written | {
        "metadata": {k: v for k, v in written["metadata"].items() if k != "atlas"}
    }


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("make", [neuronpedia, anthropic, circuit_tracer])
def test_supernodes_of_the_atlas_follow_those_of_the_file(make: Any, as_text: bool) -> None:
    graph = make()
    view = graph["qParams"]
    if as_text:
        view |= {"supernodes": json.dumps(view["supernodes"]), "pinnedIds": ",".join(view["pinnedIds"])}
    circuit = read_graph(encode(graph), "a.json").circuit
    error = next(place for place, node in enumerate(circuit.nodes) if node.kind is NodeKind.ERROR)
    new = Supernode("ours", None, (0, error), "person", "ann", 0.5)
    found = export(replace(circuit, supernodes=(*circuit.supernodes, new)))
    ids = ["0_3_1", "1_-1_1"]
    wanted = [*make()["qParams"]["supernodes"], ["ours", *ids]]
    pins = [*dict.fromkeys([*make()["qParams"]["pinnedIds"], *ids])]
    assert found["qParams"] == view | {
        "supernodes": json.dumps(wanted) if as_text else wanted,
        "pinnedIds": ",".join(pins) if as_text else pins,
    }
    again = read_graph(exported(to_json(replace(circuit, supernodes=(*circuit.supernodes, new)))), "b.json")
    assert set(again.circuit.supernodes) == {*circuit.supernodes, new}
    assert again.circuit.nodes == circuit.nodes  # the new supernode pinned nothing
    # A supernode that was deleted in the atlas is not exported.
    left = export(replace(circuit, supernodes=()))["qParams"]["supernodes"]
    assert left == (json.dumps([]) if as_text else [])


def test_a_layout_that_is_too_large_is_left_out_with_a_note() -> None:
    graph = circuit_tracer()
    noise = [(number * 2_654_435_761) % 2**32 for number in range(2_000_000)]
    graph["nodes"][0]["noise"] = noise
    read = read_graph(encode(graph), "a.json")
    assert read.notes == (
        f"the layout of the file is not kept for exports: it takes more than {LIMIT // 10**6} MB",
    )
    assert {node["node_id"] for node in export(read.circuit)["nodes"]} == {
        node["node_id"] for node in graph["nodes"]
    }
    assert read_graph(exported(to_json(read.circuit)), "b.json").circuit.id == read.circuit.id
