"""Deleting circuits restores what the database held before they were loaded."""

from dataclasses import replace
from functools import reduce

import pytest

from schema.circuit.records import Source
from schema.database import Database
from schema.errors import InputError, NotFoundError
from schema.loading.load import load_circuit
from schema.model.core import NODES, RELATIONSHIPS
from schema.upkeep.canonical_dump import dump
from schema.upkeep.check import check
from schema.upkeep.delete import DeletedParts, delete_circuit, delete_circuits
from schema.upkeep.selection import Choice, circuits_of
from tests.support.circuits import RUN, TRANSCODERS, synthetic_circuits, without_sums
from tests.support.everything import fill
from tests.support.stored import assert_effects, load_all, nothing_left
from tests.support.tiny_circuit import tiny


def test_deleting_restores_what_was_before(database: Database):
    circuits = synthetic_circuits(12)
    kept, gone = circuits[:7], circuits[7:]
    load_all(database, kept)
    before = dump(database)
    load_all(database, gone)
    before_and_gone = dump(database)
    parts = [delete_circuit(database, circuit.id) for circuit in gone]
    n_left = {kind: len(rows) for kind, rows in dump(database).items()}
    assert reduce(DeletedParts.and_also, filter(None, parts)) == DeletedParts(
        5, *(len(before_and_gone[kind]) - n_left[kind] for kind in ("Prompt", "Feature"))
    )
    assert without_sums(dump(database)) == without_sums(before)
    assert_effects(database, kept)
    assert list(check(database)) == []
    for circuit in kept:
        assert delete_circuit(database, circuit.id)
    assert nothing_left(database)
    assert delete_circuit(database, kept[0].id) is None


def test_a_persons_label_outlives_the_circuits(database: Database):
    circuit = tiny()
    load_circuit(database, circuit, RUN)
    delete_circuit(database, circuit.id)
    rows = database.read(
        "MATCH (l:Label)-[:LABELS]->(f)-[:IN]->(:TranscoderSet) RETURN l.text AS text, f.index AS index"
    )
    assert rows == [{"text": "vowels", "index": 5}]
    assert database.read("MATCH (f:Feature) RETURN count(*) AS n") == [{"n": 1}]


def test_a_circuit_without_prompt_or_set_is_deleted_too(database: Database):
    broken, whole = synthetic_circuits(2)
    load_all(database, [whole])
    before = dump(database)
    load_all(database, [broken])
    database.write(
        "MATCH (c:Circuit {id: $id})-[r:OF_PROMPT|FROM_RUN]->(x) DELETE r "
        "WITH x WHERE x:Prompt DETACH DELETE x",
        {"id": broken.id},
    )
    assert delete_circuit(database, broken.id)
    assert [each["id"] for each in database.read("MATCH (c:Circuit) RETURN c.id AS id")] == [whole.id]
    assert without_sums(dump(database))["Node"] == without_sums(before)["Node"]


def test_circuits_of_a_tag_family_or_source_are_chosen(database: Database):
    circuits = synthetic_circuits(9)
    sources = [
        Source("neuronpedia", "dallas", "gemma", "clt-hp"),
        Source("neuronpedia", "clt-hp", "gemma", None),
        Source("circuit-tracer", "austin", "gemma", None),
    ]
    circuits[:3] = [
        replace(circuit, source=source, content=None)
        for circuit, source in zip(circuits[:3], sources, strict=True)
    ]
    load_all(database, circuits)
    imported = [circuit.id for circuit in circuits[:3]]
    everything = {
        (Choice.FAMILY, "capitals"): [c.id for c in circuits if c.prompt.family == "capitals"],
        (Choice.TAG, "easy"): [c.id for c in circuits if "easy" in c.prompt.tags],
        (Choice.SOURCE, "neuronpedia"): imported[:2],
        (Choice.SOURCE, "tool=circuit-tracer"): imported[2:],
        (Choice.SOURCE, "set=clt-hp"): imported[:1],
        (Choice.SOURCE, "slug=clt-hp"): imported[1:2],
        (Choice.SOURCE, TRANSCODERS.id): imported,
        (Choice.SOURCE, "set=made-up-clt"): imported,
        (Choice.SOURCE, "austin"): imported[2:],
    }
    for (choice, name), ids in everything.items():
        assert circuits_of(database, choice, name) == sorted(ids), (choice, name)
    with pytest.raises(
        InputError, match="'clt-hp' has several meanings: set of 1 circuit, slug of 1 circuit\\n"
    ):
        circuits_of(database, Choice.SOURCE, "clt-hp")
    for choice in Choice:
        with pytest.raises(NotFoundError):
            circuits_of(database, choice, "' OR true //")
    tagged = everything[Choice.TAG, "easy"]
    assert len(list(delete_circuits(database, [*tagged, "no circuit", *tagged]))) == len(tagged)
    assert list(check(database)) == []
    assert_effects(database, [circuit for circuit in circuits if circuit.id not in tagged])


KEPT = {"Hypothesis", "Claim", "Intervention", "Job", "Run"}
"""Labels of what outlives circuits: the ledgers of what people asked and measured."""


def test_nothing_that_belongs_to_a_circuit_outlives_it(database: Database):
    """Every relationship of the declared model is stored first."""
    fill(database)
    circuits = synthetic_circuits(12)
    for circuit in circuits:
        delete_circuit(database, circuit.id)
    assert list(check(database)) == []
    rows = database.read("MATCH (n) UNWIND labels(n) AS label RETURN DISTINCT label")
    left = {row["label"] for row in rows}
    assert left <= KEPT | {"Migration", "Feature", "Label", "TranscoderSet", "Model"}
    for row in database.read("MATCH (i:Intervention) RETURN COUNT { (i)<--() } AS n"):
        assert row["n"] == 1


def test_deleting_and_loading_again_gives_the_same_database(database: Database):
    fill(database)
    before = dump(database)
    for again in ("with the ledgers that outlived the circuits", "without them"):
        for circuit in synthetic_circuits(12):
            delete_circuit(database, circuit.id)
        if again == "without them":
            database.write("MATCH (n:Hypothesis|Claim|Intervention|Job) DETACH DELETE n")
        fill(database)
        assert list(check(database)) == []
    assert dump(database) == before


def test_every_label_says_what_keeps_it():
    """A label that nothing keeps is a root, or its own rule says when it is an orphan."""
    kept = {each.kept for each in RELATIONSHIPS}
    labels = {node.label for node in NODES if node.refines is None}
    assert labels - kept == {
        *("TranscoderSet", "Run", "Circuit", "Hypothesis", "Claim", "Job", "Lease", "Migration"),
        "Feature",  # a circuit has it, or a person labelled it
    }
