"""A run is deleted with its circuits, and deleting it twice changes nothing."""

import os

from schema.loading.leases import Doing, leased
from tests.support.circuits import RUN
from tests.support.writing import CIRCUITS

DELETE = "mutation ($id: ID!) { deleteRun(id: $id) { id existed nCircuits } }"


async def test_a_run_that_a_process_loads_is_not_deleted(writing_api, connection):
    before = connection.read("MATCH (c:Circuit) RETURN count(c) AS n")
    with leased(connection, Doing.LOADING, [RUN.id]):
        code, message, _ = await writing_api.error(DELETE, id=RUN.id)
    assert code == "CONFLICT"
    assert f"process {os.getpid()} on" in message
    assert connection.read("MATCH (c:Circuit) RETURN count(c) AS n") == before


async def test_a_run_is_deleted_and_again(writing_api, connection):
    asked = "{ circuits { totalCount } runs { nodes { id } } }"
    before = await writing_api(asked)
    (run,) = [each["id"] for each in before["runs"]["nodes"] if each["id"] == RUN.id]
    answer = (await writing_api(DELETE, id=run))["deleteRun"]
    assert answer == {"id": run, "existed": True, "nCircuits": len(CIRCUITS)}
    assert (await writing_api(DELETE, id=run))["deleteRun"] == {"id": run, "existed": False, "nCircuits": 0}
    after = await writing_api(asked)
    assert after["circuits"]["totalCount"] == before["circuits"]["totalCount"] - len(CIRCUITS)
    assert connection.read("MATCH (n:Supernode|FormerSupernode) WHERE n.author = 'ada' RETURN n") == []
