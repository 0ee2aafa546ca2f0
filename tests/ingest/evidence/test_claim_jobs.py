"""A claim is requested over the API and measured by a worker."""

import asyncio
import json
import threading
from pathlib import Path

import pytest
from rich.console import Console

from ingest.circuits.run import IngestSettings
from ingest.jobs import watch
from schema.database import AsyncDatabase, Database
from schema.jobs import RequestedPrompt, request, take
from schema.questions.jobs import JOBS_BY_ID
from schema.questions.question import ask as ask_database
from tests.support.api import Api
from tests.support.tiny_atlas import TinyAtlas

DRAWS = 4
CLAIMS = "{ claims { nodes { id effect } } }"
WRONG = {
    "edits": ["ablate {nobody}@all"],
    "circuits": ["none"],
    "family": None,
    "freeze": "nothing",
    "constrained": None,
    "writes": None,
    "draws": DRAWS,
    "seed": 0,
}
"""A claim of a job, about a supernode that no circuit has."""


REQUEST = """mutation ($edits: [String!]!, $circuits: [ID!], $family: String, $draws: Int!, $set: ID) {
  requestClaim(edits: $edits, author: "ada", circuits: $circuits, family: $family, draws: $draws,
               freeze: ATTENTION, transcoders: $set) {
    id state nPrompts prompts transcoders measured } }"""


async def test_a_claim_is_asked_for_over_the_api_and_measured_by_a_worker(
    tiny_atlas: TinyAtlas, database: Database, async_database: AsyncDatabase
) -> None:
    layer, index = tiny_atlas.common_feature("pi")
    edit = f"ablate {layer}/{index}@all"

    settings = IngestSettings(Path(), *tiny_atlas.folders)
    quiet = Console(quiet=True)

    async def work() -> int:
        return await asyncio.to_thread(watch, database, settings, threading.Event(), console=quiet, once=True)

    async with Api(async_database, token="t", writer=database) as api:
        job = (await api(REQUEST, edits=[edit], family="pi", draws=DRAWS))["requestClaim"]
        assert job == {
            "id": job["id"],
            "state": "QUEUED",
            "nPrompts": 2,
            "prompts": [each.prompt.text for each in tiny_atlas.family("pi").values()],
            "transcoders": tiny_atlas.set_id,
            "measured": None,
        }
        for wrong, code in (
            ({"edits": []}, "BAD_INPUT"),
            ({"edits": [edit, f"swap {layer}/{index}@all"]}, "BAD_INPUT"),
            ({"edits": [f"ablate {layer}/{index}@9-2"]}, "BAD_INPUT"),
            ({"family": None}, "BAD_INPUT"),
            ({"family": "phi"}, "NOT_FOUND"),
            ({"family": None, "circuits": ["nowhere"]}, "NOT_FOUND"),
            ({"set": "another"}, "NOT_FOUND"),
            ({"draws": 1000}, "OVER_LIMIT"),
        ):
            asked = {"edits": [edit], "family": "pi", "draws": DRAWS, **wrong}
            assert (await api.error(REQUEST, **asked))[0] == code, wrong
        # A worker with other transcoders leaves it.
        assert take(database, "w", transcoders="another") is None
        assert await work() == 1
        (row,) = ask_database(database, JOBS_BY_ID, timeout_s=20, keys=[job["id"]])
        assert (row.state, row.n_done, row.error) == ("done", 2, None)
        found = (await api(CLAIMS))["claims"]["nodes"]
    assert [each["id"] for each in found] == [row.measured]
    by_command = tiny_atlas.run(
        *("intervene", "--keep", "--draws", str(DRAWS), "--json", "--family", "pi"),
        *("--ablate", f"{layer}/{index}@all", "--freeze", "attention"),
    )
    assert by_command["id"] == row.measured
    assert by_command["effect"] == pytest.approx(found[0]["effect"], abs=1e-6)
    bad = request(database, [RequestedPrompt("w1")], "ada", claim=json.dumps(WRONG))
    assert await work() == 0
    (row,) = ask_database(database, JOBS_BY_ID, timeout_s=20, keys=[bad])
    # Once is enough: what was asked for is wrong, and stays so.
    assert (row.state, row.attempts, str(row.error).split("\n")[0]) == (
        *("failed", 1, f"No circuit made with {tiny_atlas.set_id} has the supernode {{nobody}}"),
    )
