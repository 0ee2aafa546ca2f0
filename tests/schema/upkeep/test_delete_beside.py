"""Deletions, moves and tags beside loads: neither takes from the other what both share."""

import threading
from collections.abc import Callable
from dataclasses import replace

from schema.annotations.families import set_family
from schema.annotations.tags import tag_prompts
from schema.circuit.records import Circuit
from schema.database import Database
from schema.loading.load import load_circuit
from schema.upkeep.check import check
from schema.upkeep.delete import delete_circuit
from tests.support.circuits import RUN, synthetic_circuits
from tests.support.stored import whole

ROUNDS = 6


def _of_another_set(circuit: Circuit, number: int) -> Circuit:
    """The same graph of the same prompt, by the transcoders of another model."""
    model = replace(circuit.model, name=f"other-{number}")
    transcoders = replace(circuit.transcoders, name=f"other-clt-{number}", model_id=model.id)
    return replace(circuit, model=model, transcoders=transcoders)


def _at_once(*calls: Callable[[], object]) -> None:
    """Call all in threads, and raise what one of them raised."""
    errors: list[BaseException] = []
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], object]) -> None:
        start.wait()
        try:
            call()
        except BaseException as error:  # noqa: BLE001  raised below, in the thread of the test
            errors.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_a_load_of_another_set_keeps_the_prompts_that_a_deletion_also_has(database: Database):
    """The other set is stored already in half of the rounds, and new in the others."""
    mine = synthetic_circuits(3)
    for number in range(ROUNDS):
        other = [_of_another_set(circuit, number) for circuit in mine]
        for circuit in (*mine, *other[: number % 2]):
            load_circuit(database, circuit, RUN)

        def load(circuits: list[Circuit] = other) -> None:
            for circuit in circuits:
                load_circuit(database, circuit, RUN)

        _at_once(lambda: [delete_circuit(database, circuit.id) for circuit in mine], load)
        assert list(check(database)) == []
        assert whole(database, [*mine, *other]) == other
        for circuit in other:
            assert delete_circuit(database, circuit.id)


def test_deleting_and_loading_the_same_circuits_at_once_leaves_whole_circuits(database: Database):
    circuits = synthetic_circuits(4)
    for _ in range(ROUNDS):
        _at_once(
            lambda: [delete_circuit(database, circuit.id) for circuit in circuits * 2],
            lambda: [load_circuit(database, circuit, RUN) for circuit in circuits * 2],
            lambda: [delete_circuit(database, circuit.id) for circuit in reversed(circuits)],
        )
        assert list(check(database)) == []


def test_a_load_of_another_set_joins_the_family_to_which_its_prompts_are_moved(database: Database):
    """The other set is new in half of the rounds, so that nobody who moves a prompt could know it."""
    mine = synthetic_circuits(3)
    prompts = [circuit.prompt.id for circuit in mine]
    for circuit in mine:
        load_circuit(database, circuit, RUN)
    for number in range(ROUNDS):
        other = [_of_another_set(circuit, number) for circuit in mine]
        for circuit in other[: number % 2]:
            load_circuit(database, circuit, RUN)

        def load(circuits: list[Circuit] = other) -> None:
            for circuit in circuits:
                load_circuit(database, circuit, RUN)

        def move(name: str = f"moved {number}") -> None:
            list(set_family(database, prompts, name))

        def tag(name: str = f"tag {number}") -> None:
            tag_prompts(database, prompts, [name], most=100)

        _at_once(load, move, tag)
        assert list(check(database)) == []
        for circuit in other:
            assert delete_circuit(database, circuit.id)
    assert database.read("MATCH (y:Family)<-[:IN_FAMILY]-(p) RETURN y.name AS family, count(p) AS n") == [
        {"family": f"moved {ROUNDS - 1}", "n": 3}
    ]
