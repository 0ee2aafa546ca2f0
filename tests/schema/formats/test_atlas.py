"""Graphs that the atlas exported come back as the circuits they were."""

from dataclasses import replace

import pytest

from schema.circuit.canonical import canonical
from schema.circuit.records import Label
from schema.exports.graph_json import to_json
from tests.support.circuits import synthetic_circuits
from tests.support.graph_files import ALL
from tests.support.little_graph import circuit_of


@pytest.mark.parametrize("name", ALL)
def test_import_export_import_gives_the_same_circuit(name: str) -> None:
    first = circuit_of(ALL[name]())
    again = circuit_of(to_json(first))
    assert again == first
    assert again.id == first.id


def test_supernodes_of_one_name_and_two_methods_come_back() -> None:
    circuit = synthetic_circuits(1)[0]
    group = circuit.supernodes[0]
    twice = replace(circuit, supernodes=(*circuit.supernodes, replace(group, method="person", author="ada")))
    assert circuit_of(to_json(twice)) == canonical(twice)


def test_our_own_circuits_come_back_under_their_ids() -> None:
    for circuit in synthetic_circuits(4):
        found = circuit_of(to_json(circuit))
        assert found == canonical(circuit)
        assert found.id == circuit.id


def test_an_edited_export_is_another_circuit_and_keeps_what_was_drawn() -> None:
    circuit = synthetic_circuits(1)[0]
    graph = to_json(circuit)
    graph["links"][0]["weight"] += 1.0
    feature = next(each for each in graph["nodes"] if each["feature_type"] == "cross layer transcoder")
    feature["clerp"] = "a better label"
    graph["qParams"]["supernodes"].append(["new", feature["node_id"]])
    found = circuit_of(graph)
    assert found.id != circuit.id
    assert found.content is not None
    assert set(found.labels) - set(circuit.labels) == {
        Label(int(feature["layer"]), found.labels[0].index, "a better label", "viewer", "unknown")
    } or "a better label" in {label.text for label in found.labels}
    assert {group.label for group in found.supernodes} == {g.label for g in circuit.supernodes} | {"new"}
