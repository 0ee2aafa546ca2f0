"""Runs, their ledgers, and deleting a run or a model."""

from dataclasses import replace

import pytest

from schema.circuit.records import Run
from schema.database import Database
from schema.errors import NotFoundError
from schema.loading.load import load_circuit
from schema.loading.runs import Entry, begin, done, end, refusals, refuse, runs
from schema.upkeep.canonical_dump import dump
from schema.upkeep.check import check
from schema.upkeep.delete import delete_circuits, delete_run
from schema.upkeep.selection import Choice, circuits_of
from tests.support.circuits import MODEL, RUN, TRANSCODERS, synthetic_circuits, without_sums

OTHER = Run(settings={"prompts": "others.jsonl"}, versions={})


def test_a_ledger_says_what_became_of_each_input(database: Database):
    first, second = synthetic_circuits(2)
    begin(database, RUN)
    assert load_circuit(database, first, RUN, Entry("hash 1", "a.json"))
    refuse(database, RUN, [Entry("hash 2", "b.json", "it has no nodes")])
    assert done(database, RUN) == {"hash 1": first.id}
    (found,) = runs(database)
    assert (found.n_circuits, found.n_loaded, found.n_present, found.n_refused) == (1, 1, 0, 1)
    assert found.started_at is not None
    assert found.ended_at is None
    assert refusals(database, RUN.id) == [("b.json", "it has no nodes")]
    begin(database, RUN)
    assert load_circuit(database, second, RUN, Entry("hash 2", "b.json"))
    end(database, RUN)
    (again,) = runs(database)
    assert (again.n_circuits, again.n_loaded, again.n_refused) == (2, 2, 0)
    assert again.started_at == found.started_at
    assert again.ended_at is not None
    assert list(check(database)) == []


def test_a_load_that_is_run_again_stays_loaded(database: Database):
    """As the driver does when the connection is cut between a commit and its answer."""
    (circuit,) = synthetic_circuits(1)
    entry = Entry("a" * 64, "graph.json")
    assert load_circuit(database, circuit, RUN, entry)
    assert not load_circuit(database, circuit, RUN, entry)
    assert [(each.n_loaded, each.n_present) for each in runs(database)] == [(1, 0)]


def test_an_input_whose_circuit_is_there_is_present(database: Database):
    circuit = synthetic_circuits(1)[0]
    assert load_circuit(database, circuit, RUN)
    assert load_circuit(database, circuit, OTHER, Entry("hash", "a.json")) is False
    assert done(database, OTHER) == {"hash": circuit.id}
    assert {each.id: each.n_present for each in runs(database)} == {RUN.id: 0, OTHER.id: 1}
    assert list(check(database)) == []


def test_deleting_a_run_leaves_the_other(database: Database):
    circuits = synthetic_circuits(6)
    for circuit in circuits[:4]:
        load_circuit(database, circuit, RUN, Entry(circuit.id, circuit.prompt.text))
    refuse(database, OTHER, [Entry("bad", "line 7", "too long")])
    before = dump(database)
    for circuit in circuits[4:]:
        load_circuit(database, circuit, OTHER, Entry(circuit.id, circuit.prompt.text))
    assert [each.n_circuits for each in delete_run(database, OTHER.id)] == [1, 1]
    assert list(check(database)) == []
    assert [each.id for each in runs(database)] == [RUN.id]
    after = dump(database)
    for kind in ("Run", "Entry", "LISTS"):
        before.pop(kind)
        after.pop(kind)
    assert without_sums(after) == without_sums(before)
    with pytest.raises(NotFoundError, match="There is no run"):
        list(delete_run(database, OTHER.id))


def test_deleting_a_model_leaves_the_other(database: Database):
    model = replace(MODEL, name="other")
    transcoders = replace(TRANSCODERS, name="other-clt", model_id=model.id)
    circuits = synthetic_circuits(4)
    for circuit in circuits:
        load_circuit(database, circuit, RUN)
    before = dump(database)
    for circuit in circuits:
        load_circuit(database, replace(circuit, model=model, transcoders=transcoders), OTHER)
    assert list(check(database)) == []
    assert len(list(delete_circuits(database, circuits_of(database, Choice.MODEL, model.id)))) == 4
    assert without_sums(dump(database)) == without_sums(before)
    assert list(check(database)) == []
    with pytest.raises(NotFoundError, match="There is no model"):
        circuits_of(database, Choice.MODEL, model.id)
