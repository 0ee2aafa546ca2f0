"""A short form of a list is the list."""

from dataclasses import replace

import pytest

from schema.database import Database
from schema.loading.load import load_circuits
from schema.questions.circuits import ALL_CIRCUITS, CIRCUITS
from schema.questions.question import ask
from tests.support.circuits import RUN, synthetic_circuits


@pytest.mark.parametrize("share", [0, 3, 1])
def test_all_circuits_are_the_circuits_without_conditions(database: Database, share: int):
    """share: every so many circuits have no family; 0: none."""
    circuits = [
        replace(circuit, prompt=replace(circuit.prompt, family=None))
        if share and not number % share
        else circuit
        for number, circuit in enumerate(synthetic_circuits(14))
    ]
    list(load_circuits(database, [(each, None) for each in circuits], RUN))
    none = {"tags": [], "min_tags": 0}
    for skip, limit in ((0, 20), (0, 3), (2, 5), (12, 5), (14, 1), (0, 2**31 - 1)):
        (short,) = ask(database, ALL_CIRCUITS, timeout_s=20, skip=skip, limit=limit)
        (whole,) = ask(database, CIRCUITS, timeout_s=20, filter=none, order="family", skip=skip, limit=limit)
        assert short == whole
        assert short.total == 14
