"""Loading in groups stores what loading one circuit at a time stores, for any groups, order and writers."""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from schema.circuit.records import Circuit, Source
from schema.database import Database
from schema.errors import InputError, RefusedError
from schema.loading.load import load_circuit, load_circuits
from schema.loading.runs import Entry, done, runs
from schema.upkeep.canonical_dump import Dump, digest, dump
from schema.upkeep.check import check
from tests.support.circuits import RUN, synthetic_circuits, uses
from tests.support.servers import empty
from tests.support.stored import assert_effects, stored_uses


def inputs(circuits: list[Circuit]) -> list[tuple[Circuit, Entry]]:
    return [(each, Entry(f"{number} {each.id}", f"file {number}")) for number, each in enumerate(circuits)]


def mixed(seed: int) -> list[Circuit]:
    """Circuits of two sets; prompts with several circuits, some of which say the family; some twice."""
    rng = random.Random(seed)
    found = []
    for circuit in synthetic_circuits(14, seed):
        if rng.random() < 0.3:
            circuit = replace(circuit, transcoders=replace(circuit.transcoders, name="another set"))
        if rng.random() < 0.4:
            circuit = replace(circuit, prompt=replace(circuit.prompt, family=None))
        found.append(circuit)
        if rng.random() < 0.4:
            prompt = replace(circuit.prompt, family=rng.choice([None, "arithmetic", "others"]))
            found.append(replace(circuit, prompt=prompt, node_threshold=rng.choice([0.5, 0.6])))
        if rng.random() < 0.3:
            found.append(rng.choice(found))
    rng.shuffle(found)
    return found


@pytest.mark.parametrize("seed", range(2))
def test_the_content_is_that_of_one_circuit_at_a_time(database: Database, seed: int):
    given = inputs(mixed(seed))
    outcomes = [load_circuit(database, circuit, RUN, entry) for circuit, entry in given]
    assert True in outcomes
    assert False in outcomes
    before = digest(database)
    for group_circuits, batch_bytes in ((2, 1 << 22), (3, 20_000), (100, 1 << 22)):
        empty(database)
        loaded = load_circuits(database, given, RUN, group_circuits=group_circuits, batch_bytes=batch_bytes)
        assert list(loaded) == outcomes
        assert digest(database) == before
    assert list(check(database)) == []


def test_the_order_changes_the_last_digits_only(database: Database):
    circuits = synthetic_circuits(12)
    contents: list[Dump] = []
    for seed in range(3):
        empty(database)
        shuffled = random.Random(seed).sample(circuits, len(circuits))
        assert all(
            outcome is True for outcome in load_circuits(database, inputs(shuffled), RUN, group_circuits=5)
        )
        contents.append({kind: rows for kind, rows in dump(database).items() if kind != "Entry"})
    first, *others = (dict(numbered(content)) for content in contents)
    for other in others:
        assert {key: value for key, value in other.items() if not isinstance(value, float)} == {
            key: value for key, value in first.items() if not isinstance(value, float)
        }
        floats = {key: value for key, value in first.items() if isinstance(value, float)}
        assert {key: other[key] for key in floats} == pytest.approx(floats, rel=1e-12, abs=1e-12)


def numbered(content: Dump) -> Iterator[tuple[tuple[str, ...], object]]:
    """Every property of a dump, with the place that it has there."""
    for kind, rows in content.items():
        for row in rows:
            where = [str(part) for part in row[:-1]] + ([row[-1].get("id", "")] if len(row) == 2 else [])
            for name, value in row[-1].items():
                # The root of a rounding error is larger than the error.
                yield (kind, *where, row[-1].get("family", ""), name), value**2 if name == "sd" else value


@pytest.mark.parametrize("seed", range(2))
def test_several_writers_load_each_circuit_once(database: Database, seed: int):
    circuits = synthetic_circuits(24)
    orders = [random.Random(f"{seed} {writer}").sample(circuits, len(circuits)) for writer in range(3)]

    def load(order: list[Circuit]) -> int:
        sizes = random.Random(seed)
        return sum(
            outcome is True
            for start in range(0, len(order), 6)
            for outcome in load_circuits(
                database, inputs(order[start : start + 6]), RUN, group_circuits=sizes.randint(2, 6)
            )
        )

    with ThreadPoolExecutor(3) as pool:
        loaded = list(pool.map(load, orders))
    assert sum(loaded) == len(circuits)
    assert stored_uses(database) == uses(circuits)
    assert_effects(database, circuits)
    assert list(check(database)) == []


def test_a_group_is_stored_whole_or_not_at_all(database: Database):
    circuits = synthetic_circuits(40)
    seen: set[int] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            seen.add(database.read("MATCH (c:Circuit) RETURN count(c) AS n")[0]["n"])

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        list(load_circuits(database, inputs(circuits), RUN, group_circuits=10))
    finally:
        over.set()
        watcher.join()
    assert seen <= {0, 10, 20, 30, 40}


@pytest.fixture
def unique_slugs(database: Database) -> Iterator[Database]:
    """A database that refuses a circuit whose slug another circuit has."""
    database.write("DROP INDEX circuit_slug_range IF EXISTS")
    database.write("CREATE CONSTRAINT of_test FOR (c:Circuit) REQUIRE c.slug IS UNIQUE")
    yield database
    database.write("DROP CONSTRAINT of_test")
    database.write("CREATE INDEX circuit_slug_range FOR (c:Circuit) ON (c.slug)")
    database.read("CALL db.awaitIndexes(300)")


def test_what_is_refused_is_left_out_and_the_others_are_loaded(unique_slugs: Database):
    database = unique_slugs
    good = synthetic_circuits(9)
    made = [replace(each, source=Source("test", f"slug {n}", "scan")) for n, each in enumerate(good)]
    # The check refuses the first, the database the second.
    unfit = replace(made[2], edges=(*made[2].edges, made[2].edges[0]), node_threshold=0.1)
    doubled = replace(made[4], node_threshold=0.2)
    given = inputs([made[0], unfit, *made[1:5], doubled, *made[5:]])
    for group_circuits in (1, 4, 11):
        empty(database)
        outcomes = list(load_circuits(database, given, RUN, group_circuits=group_circuits))
        refused = [number for number, outcome in enumerate(outcomes) if outcome is not True]
        assert refused == [1, 6]
        assert isinstance(outcomes[1], InputError)
        assert isinstance(outcomes[6], RefusedError)
        assert stored_uses(database) == uses(made)
        assert_effects(database, made)
        assert done(database, RUN) == {
            entry.key: circuit.id for circuit, entry in given if circuit not in (unfit, doubled)
        }
    with pytest.raises(RefusedError, match="slug 4"):
        load_circuit(database, doubled, RUN)


def test_a_name_that_no_index_can_hold_is_refused(database: Database):
    first, second = synthetic_circuits(2)
    long = replace(first, source=Source("test", "x" * 9000, "scan"))
    (refused, loaded) = load_circuits(database, inputs([long, second]), RUN)
    assert isinstance(refused, InputError)
    assert "is longer than 4000 bytes" in refused.what
    assert loaded is True
    with pytest.raises(RefusedError, match="too large to index"):
        database.write("CREATE (:Tag {name: $name})", {"name": "x" * 9000})


def test_the_ledger_says_what_became_of_each_input(database: Database):
    circuits = synthetic_circuits(4)
    first, second = inputs(circuits[:3]), inputs([*circuits, circuits[3]])
    assert list(load_circuits(database, first, RUN)) == [True] * 3
    assert list(load_circuits(database, second[3:], RUN)) == [True, False]
    (run,) = runs(database)
    assert (run.n_circuits, run.n_loaded, run.n_present) == (4, 4, 1)
    # The same inputs again, as after a break: what this run loaded stays loaded.
    assert list(load_circuits(database, [*first, *second[3:]], RUN)) == [False] * 5
    (run,) = runs(database)
    assert (run.n_circuits, run.n_loaded, run.n_present) == (4, 4, 1)
