"""Tags of prompts whose circuits a store has already."""

from dataclasses import replace
from uuid import uuid4

import pytest

from schema.circuit.records import Circuit
from schema.circuit.tagged import TaggedCircuit
from schema.errors import FileError
from schema.shards.folder import find_shards, packed
from schema.shards.store import Store
from schema.shards.tags import tag_stored
from tests.support.circuits import RUN, synthetic_circuits

CIRCUITS = [
    replace(each, prompt=replace(each.prompt, tags=("old",), family=family))
    for each, family in zip(synthetic_circuits(4), ("pi", None, "e", "pi"), strict=True)
]
FIRST, SECOND, THIRD, FOURTH = (each.id for each in CIRCUITS)


@pytest.fixture
def store() -> Store:
    """Two shards of two circuits each."""
    made = Store(f"memory://tags-{uuid4().hex}")
    made.create()
    for line in (1, 3):
        for name, data in packed(list(enumerate(CIRCUITS, 1))[line - 1 : line + 1], RUN):
            made.put(name, data)
    return made


def held(store: Store) -> list[Circuit]:
    return [circuit for each in find_shards([store.address]) for circuit in each.read().circuits()]


def test_only_shards_with_new_tags_are_written_again(store: Store) -> None:
    before = store.names()
    asked = {FIRST: ["new", "old", "new"], SECOND: ["old"], THIRD: [], "unknown": ["new"]}
    rows = [TaggedCircuit(FIRST, "pi", 1), TaggedCircuit(SECOND, None, 0), TaggedCircuit(THIRD, "e", 0)]
    assert tag_stored(store, asked) == rows
    after = store.names()
    assert (len(after), after[1], after[0] != before[0]) == (2, before[1], True)
    tagged = replace(CIRCUITS[0], prompt=replace(CIRCUITS[0].prompt, tags=("old", "new")))
    assert held(store) == [tagged, *CIRCUITS[1:]]
    assert {each.read().run.id for each in find_shards([store.address])} == {RUN.id}
    assert [row.n_new for row in tag_stored(store, asked)] == [0, 0, 0]
    assert store.names() == after


def test_tags_of_every_shard_with_the_circuit_count(store: Store) -> None:
    old = {name: store.read(name) for name in store.names()}
    tag_stored(store, {FOURTH: ["new"]})
    for name, data in old.items():  # as when the command was stopped before it deleted them
        store.put(name, data)
    names = store.names()
    assert tag_stored(store, {FOURTH: ["new", "old"]}) == [TaggedCircuit(FOURTH, "pi", 0)]
    assert store.names() == names


def test_a_damaged_shard_is_refused_and_stays(store: Store) -> None:
    name = store.names()[0]
    data = store.read(name)
    store.put(name, data[:-1])
    with pytest.raises(FileError, match="the shard: cannot be read"):
        tag_stored(store, {FIRST: ["new"]})
    middle = len(data) // 2
    store.put(name, data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    with pytest.raises(FileError):
        tag_stored(store, {FIRST: ["new"]})
    assert name in store.names()
