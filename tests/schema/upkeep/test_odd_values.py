"""`check`, its repair, and the commands that it names survive whatever is stored.

The long tests store the other values, and each value alone.
"""

import pytest

from atlas.local.server import Address
from schema.database import Database
from schema.upkeep.check import check
from tests.support.circuits import synthetic_circuits
from tests.support.odd_values import KEYS, ODD_VALUES, Place, follow, plant_everywhere
from tests.support.stored import assert_effects, load_all, whole

QUICK = ("Circuit", "Feature", "Node")
"""Labels whose nodes lose their key here; the others lose theirs in the long tests."""


@pytest.mark.parametrize("value", ["text", "boolean", "numbers", "largest"])
def test_odd_values_everywhere_are_corrected_by_the_commands_that_check_names(
    database: Database, server: Address, value: str
):
    circuits = synthetic_circuits(3)
    load_all(database, circuits)
    plant_everywhere(database, ODD_VALUES[value])
    list(check(database, bulk=False))
    assert follow(database, server)
    assert_effects(database, whole(database, circuits))


@pytest.mark.parametrize("place", [each for each in KEYS if each.kind in QUICK], ids=str)
def test_what_has_no_name_is_found_and_removed(database: Database, server: Address, place: Place):
    circuits = synthetic_circuits(3)
    load_all(database, circuits)
    place.plant(database, None if place.kind == "Feature" else 5)
    assert follow(database, server)
    assert_effects(database, whole(database, circuits))
