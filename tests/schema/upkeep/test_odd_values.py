"""`check`, its repair, and the commands that it names survive whatever is stored."""

import pytest

from atlas.local.server import Address
from schema.database import Database
from schema.upkeep.check import check
from tests.support.circuits import synthetic_circuits
from tests.support.odd_values import KEYS, ODD_VALUES, Place, follow, plant_everywhere
from tests.support.stored import assert_effects, load_all, whole


@pytest.mark.parametrize("value", [*ODD_VALUES])
def test_odd_values_everywhere_are_corrected_by_the_commands_that_check_names(
    database: Database, server: Address, value: str
):
    circuits = synthetic_circuits(3)
    load_all(database, circuits)
    plant_everywhere(database, ODD_VALUES[value])
    list(check(database, bulk=False))
    assert follow(database, server)
    assert_effects(database, whole(database, circuits))


@pytest.mark.parametrize("place", KEYS, ids=str)
def test_what_has_no_name_is_found_and_removed(database: Database, server: Address, place: Place):
    circuits = synthetic_circuits(3)
    load_all(database, circuits)
    place.plant(database, 5 if place.kind in ("Circuit", "Node", "Family") else None)
    assert follow(database, server)
    # The prompts of a family without a name are in no family afterwards, whatever their records say.
    if place.kind != "Family":
        assert_effects(database, whole(database, circuits))
