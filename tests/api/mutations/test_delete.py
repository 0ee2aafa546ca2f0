"""A run is deleted with its circuits, and deleting it twice changes nothing."""

from tests.support.circuits import RUN
from tests.support.writing import CIRCUITS


async def test_a_run_is_deleted_and_again(writing_api, connection):
    delete = "mutation ($id: ID!) { deleteRun(id: $id) { id existed nCircuits } }"
    asked = "{ circuits { totalCount } runs { nodes { id } } }"
    before = await writing_api(asked)
    (run,) = [each["id"] for each in before["runs"]["nodes"] if each["id"] == RUN.id]
    answer = (await writing_api(delete, id=run))["deleteRun"]
    assert answer == {"id": run, "existed": True, "nCircuits": len(CIRCUITS)}
    assert (await writing_api(delete, id=run))["deleteRun"] == {"id": run, "existed": False, "nCircuits": 0}
    after = await writing_api(asked)
    assert after["circuits"]["totalCount"] == before["circuits"]["totalCount"] - len(CIRCUITS)
    assert connection.read("MATCH (n:Supernode|FormerSupernode) WHERE n.author = 'ada' RETURN n") == []
