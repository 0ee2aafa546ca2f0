"""Each odd value alone, in each number, list and key that the check reads; the named commands correct it."""

import pytest

from atlas.local.server import Address
from schema.database import Database
from schema.upkeep.check import check
from tests.support.circuits import synthetic_circuits
from tests.support.odd_values import KEYS, ODD_VALUES, PLACES, Place, follow, is_right, plant_everywhere
from tests.support.servers import empty
from tests.support.stored import assert_effects, load_all, whole

UNREAD = {"Prompt", "TranscoderSet"}
"""Labels whose numbers and lists the check does not read: the test of all places at once has them."""


@pytest.mark.parametrize("value", [*ODD_VALUES])
def test_one_odd_value_is_corrected_by_the_commands_that_check_names(
    database: Database, server: Address, value: str
):
    circuits = synthetic_circuits(2)
    complete = False
    for place in PLACES:
        if place.kind in UNREAD or is_right(place, ODD_VALUES[value]):
            continue
        if not complete:
            empty(database)
            load_all(database, circuits)
        place.plant(database, ODD_VALUES[value])
        found = follow(database, server)
        left = whole(database, circuits)
        assert_effects(database, left)
        # A value that is right, or that nothing reads, stays.
        complete = bool(found) and left == circuits


@pytest.mark.parametrize("value", [*ODD_VALUES])
def test_odd_values_everywhere_are_corrected(database: Database, server: Address, value: str):
    circuits = synthetic_circuits(3)
    load_all(database, circuits)
    plant_everywhere(database, ODD_VALUES[value])
    list(check(database, bulk=False))
    assert follow(database, server)
    assert_effects(database, whole(database, circuits))


@pytest.mark.parametrize("place", KEYS, ids=str)
@pytest.mark.parametrize("value", [5, None, True, ["x"]], ids=str)
def test_what_has_no_name_is_removed(database: Database, server: Address, place: Place, value: object):
    circuits = synthetic_circuits(3)
    load_all(database, circuits)
    place.plant(database, value)
    assert follow(database, server)
    # The prompts of a family without a name are in no family afterwards, whatever their records say.
    if place.kind != "Family":
        assert_effects(database, whole(database, circuits))
