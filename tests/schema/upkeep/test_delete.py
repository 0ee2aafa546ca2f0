"""Deleting circuits restores what the database held before they were loaded."""

from schema.database import Database
from schema.loading.load import load_circuit
from schema.upkeep.canonical_dump import dump
from schema.upkeep.check import check
from schema.upkeep.delete import delete_circuit
from tests.support.circuits import RUN, synthetic_circuits, without_sums
from tests.support.stored import assert_effects, load_all, nothing_left
from tests.support.tiny_circuit import tiny


def test_deleting_restores_what_was_before(database: Database):
    circuits = synthetic_circuits(12)
    kept, gone = circuits[:7], circuits[7:]
    load_all(database, kept)
    before = dump(database)
    load_all(database, gone)
    assert [delete_circuit(database, circuit.id) for circuit in gone] == [True] * 5
    assert without_sums(dump(database)) == without_sums(before)
    assert_effects(database, kept)
    assert list(check(database)) == []
    for circuit in kept:
        assert delete_circuit(database, circuit.id)
    assert nothing_left(database)
    assert delete_circuit(database, kept[0].id) is False


def test_a_persons_label_outlives_the_circuits(database: Database):
    circuit = tiny()
    load_circuit(database, circuit, RUN)
    delete_circuit(database, circuit.id)
    rows = database.read(
        "MATCH (l:Label)-[:LABELS]->(f)-[:IN]->(:TranscoderSet) RETURN l.text AS text, f.index AS index"
    )
    assert rows == [{"text": "vowels", "index": 5}]
    assert database.read("MATCH (f:Feature) RETURN count(*) AS n") == [{"n": 1}]
