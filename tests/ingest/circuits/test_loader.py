"""The loader: order, groups, waiting, and what a failure does."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from ingest.circuits.loader import HELD, GroupLoader, resumable
from schema.circuit.records import Circuit
from schema.database import Database
from schema.errors import DatabaseError, InputError
from schema.loading.load import Outcome, Prepared, Unfit
from schema.upkeep.canonical_dump import digest
from tests.support.circuits import RUN, synthetic_circuits
from tests.support.servers import empty
from tests.support.stored import load_all

Group = Sequence[tuple[Prepared | Unfit, Outcome]]


class Written:
    """What a loader said of the circuits that it wrote."""

    def __init__(self) -> None:
        self.groups: list[list[tuple[Circuit, Outcome]]] = []

    def __call__(self, group: Group) -> None:
        self.groups.append([(each.circuit, outcome) for each, outcome in group])

    @property
    def circuits(self) -> list[Circuit]:
        return [circuit for group in self.groups for circuit, _ in group]


def loader(
    database: Database,
    loaded: Callable[[Group], None],
    wait_s: float = 60.0,
    require: Callable[[], None] = lambda: None,
    held: int = HELD,
) -> GroupLoader:
    return GroupLoader(database, require=require, loaded=loaded, wait_s=wait_s, held=held)


def test_circuits_are_written_in_order_and_leaving_waits_for_all(database: Database):
    circuits = synthetic_circuits(40)
    load_all(database, circuits)
    before = digest(database)
    empty(database)
    written = Written()
    with loader(database, written) as threads:
        for circuit in circuits:
            threads.put(circuit, RUN)
    assert written.circuits == circuits
    assert [len(group) for group in written.groups] == [32, 8]
    assert digest(database) == before


def test_a_circuit_waits_for_others_a_short_time_only(database: Database):
    written = Written()
    with loader(database, written, wait_s=0.2) as threads:
        threads.put(synthetic_circuits(1)[0], RUN)
        end = time.monotonic() + 60
        while not written.groups and time.monotonic() < end:
            time.sleep(0.01)
        assert len(written.groups) == 1


def test_drain_returns_when_all_circuits_are_written(database: Database):
    circuits = synthetic_circuits(6)
    written = Written()
    with loader(database, written) as threads:
        threads.put(circuits[0], RUN)
        threads.drain()
        assert written.circuits == circuits[:1]
        for circuit in circuits:
            threads.put(circuit, RUN)
        threads.drain()
        assert [outcome for group in written.groups for _, outcome in group] == [True, False] + [True] * 5


MANY = 300
"""More circuits than three full groups and what waits to be grouped, when the loader's threads start late."""


def test_put_waits_while_the_database_writes(database: Database):
    begun, go_on = threading.Event(), threading.Event()

    def require() -> None:
        begun.set()
        go_on.wait()

    circuits = synthetic_circuits(8)
    written, n_put = Written(), 0
    with loader(database, written, wait_s=0.0, require=require) as threads:

        def put_all() -> None:
            nonlocal n_put
            for number in range(MANY):
                threads.put(replace(circuits[number % 8], node_threshold=number / 1000), RUN)
                n_put += 1

        putting = threading.Thread(target=put_all)
        putting.start()
        begun.wait()
        before = -1
        while before < n_put:
            before = n_put
            time.sleep(0.3)
        go_on.set()
        assert before < MANY
        putting.join()
    assert len(written.circuits) == MANY


def test_few_nodes_and_edges_are_in_memory_and_a_large_circuit_waits_alone(database: Database):
    small, *others = sorted(synthetic_circuits(8), key=lambda each: len(each.edges))
    held = len(small.nodes) + len(small.edges)
    written = Written()
    # No circuit waits a minute for others while another one waits for room.
    begin = time.monotonic()
    with loader(database, written, held=held) as threads:
        for circuit in (small, *others):
            threads.put(circuit, RUN)
        assert len(written.circuits) >= 7
    assert written.circuits == [small, *others]
    assert [len(group) for group in written.groups] == [1] * 8
    assert time.monotonic() - begin < 60


def test_after_a_failure_waiting_circuits_are_discarded_and_the_error_is_raised(database: Database):
    def require() -> None:
        raise DatabaseError("broken")

    written = Written()

    def work() -> None:
        with loader(database, written, wait_s=0.0, require=require) as threads:
            for circuit in synthetic_circuits(30):
                threads.put(circuit, RUN)

    with pytest.raises(DatabaseError, match="broken"):
        work()
    assert written.groups == []
    assert database.read("MATCH (c:Circuit) RETURN count(c) AS n") == [{"n": 0}]


def test_drain_raises_the_error_of_a_circuit(database: Database):
    def loaded(group: Group) -> None:
        raise InputError("not that one")

    def work() -> None:
        with loader(database, loaded) as threads:
            threads.put(synthetic_circuits(1)[0], RUN)
            threads.drain()

    with pytest.raises(InputError, match="not that one"):
        work()


def test_an_error_in_the_block_discards_circuits_that_wait(database: Database):
    written = Written()

    def work() -> None:
        with loader(database, written) as threads:
            for circuit in synthetic_circuits(3):
                threads.put(circuit, RUN)
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert written.groups == []
    assert database.read("MATCH (c:Circuit) RETURN count(c) AS n") == [{"n": 0}]


def test_a_circuit_that_does_not_fit_together_is_reported_with_the_others(database: Database):
    first, second, third = synthetic_circuits(3)
    unfit = replace(second, edges=(*second.edges, second.edges[0]))
    written = Written()
    with loader(database, written) as threads:
        for circuit in (first, unfit, third):
            threads.put(circuit, RUN)
    ((_, one), (_, two), (_, three)) = written.groups[0]
    assert (one, three) == (True, True)
    assert isinstance(two, InputError)


def test_a_database_error_says_how_to_resume() -> None:
    with pytest.raises(DatabaseError) as found, resumable(lambda: 3):
        raise DatabaseError("Neo4j is full", next_step="free some space")
    assert found.value.what == "Neo4j is full. 3 circuits were loaded before that"
    assert found.value.next_step == "free some space; then run the same command again; it resumes from there"
