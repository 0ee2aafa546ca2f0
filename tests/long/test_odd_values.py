"""Each odd value alone, in each number and list that the check reads, is corrected by the named commands."""

import pytest

from atlas.local.server import Address
from schema.database import Database
from tests.support.circuits import synthetic_circuits
from tests.support.odd_values import ODD_VALUES, PLACES, follow
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
        if place.kind in UNREAD:
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
