"""The runs that loaded circuits."""

import json

from tests.support.circuits import RUN


async def test_runs(api, circuits):
    data = await api("{ runs { totalCount nodes { id settings versions nCircuits } } }")
    (run,) = data["runs"]["nodes"]
    assert (json.loads(run.pop("settings")), json.loads(run.pop("versions"))) == (RUN.settings, RUN.versions)
    assert run == {"id": RUN.id, "nCircuits": len(circuits)}
    assert data["runs"]["totalCount"] == 1
