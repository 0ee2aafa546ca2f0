"""The check that scans in bulk finds each fault that comparing everything one by one finds."""

import pytest

from schema.database import Database
from schema.upkeep.check import check
from tests.schema.upkeep.test_scan import OTHERS, circuits, loaded, slowly


@pytest.mark.parametrize("start", range(0, len(OTHERS), 6))
def test_each_further_fault_is_found_as_one_by_one(database: Database, start: int):
    loaded(database, circuits())
    for number, fault in enumerate(OTHERS[start : start + 6]):
        database.write(fault, {"skip": 3 + number})
        wanted = slowly(database)
        assert wanted
        assert sorted(check(database)) == wanted, fault
