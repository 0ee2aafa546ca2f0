"""Circuits are requested over the API, computed by a worker, and a request that is sent twice is one job."""

import asyncio
import json
import threading
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from api.request.limits import Limits
from atlas.client import AtlasClient
from ingest.circuits.run import IngestSettings
from ingest.jobs import watch
from ingest.organism.weights import MODEL_DIR, PROMPTS_PATH, TRANSCODERS_DIR
from schema.database import AsyncDatabase
from schema.jobs import renew, take
from tests.support.api import Api
from tests.support.writing import REQUEST, TOKEN

JOB = "{ id state nDone nPrompts problems error attempts circuits { nodes { prompt { text family } } } }"


async def test_circuits_are_requested_computed_and_read(writing_api, connection):
    lines = [json.loads(line) for line in PROMPTS_PATH.read_text(encoding="utf-8").splitlines()[:2]]
    prompts = [{"prompt": line["prompt"], "family": "asked for", "tags": ["t"]} for line in lines]
    job = (await writing_api(REQUEST, prompts=prompts, author="ada"))["requestCircuits"]
    assert job == {
        "id": job["id"],
        "state": "QUEUED",
        "nPrompts": 2,
        "nDone": 0,
        "attempts": 0,
        "prompts": [line["prompt"] for line in lines],
        "askedBy": "ada",
        "circuits": {"totalCount": 0},
    }
    assert (await writing_api(REQUEST, prompts=prompts, author="ada"))["requestCircuits"] == job
    listed = "{ jobs(state: QUEUED) { totalCount nodes { id } } }"
    assert (await writing_api(listed))["jobs"] == {"totalCount": 1, "nodes": [{"id": job["id"]}]}
    settings = IngestSettings(Path(), MODEL_DIR, TRANSCODERS_DIR)
    quiet = Console(file=StringIO())
    await asyncio.to_thread(watch, connection, settings, threading.Event(), console=quiet, once=True)
    done = (await writing_api("query ($id: ID!) { job(id: $id) " + JOB + "}", id=job["id"]))["job"]
    found = done.pop("circuits")["nodes"]
    assert done == {
        "id": job["id"],
        "state": "DONE",
        "nDone": 2,
        "nPrompts": 2,
        "problems": [],
        "error": None,
        "attempts": 1,
    }
    assert sorted(each["prompt"]["text"] for each in found) == sorted(line["prompt"] for line in lines)
    assert {each["prompt"]["family"] for each in found} == {"asked for"}
    assert (await writing_api(listed))["jobs"]["totalCount"] == 0


@pytest.mark.parametrize(
    ("prompts", "author", "code"),
    [
        ([], "me", "BAD_INPUT"),
        ([{"prompt": "  "}], "me", "BAD_INPUT"),
        ([{"prompt": "a"}], " ", "BAD_INPUT"),
        ([{"prompt": "a"}], "x" * 201, "OVER_LIMIT"),
        ([{"prompt": "x" * 2001}], "me", "OVER_LIMIT"),
        ([{"prompt": "a"}] * 501, "me", "OVER_LIMIT"),
        ([{"prompt": "a", "tags": [""]}], "me", "BAD_INPUT"),
        ([{"prompt": "a", "tags": [f"t{n}" for n in range(101)]}], "me", "OVER_LIMIT"),
    ],
)
async def test_what_is_no_request(writing_api, prompts, author, code):
    assert (await writing_api.error(REQUEST, prompts=prompts, author=author))[0] == code


CANCEL = 'mutation ($id: ID!) { cancelJob(id: $id, author: "bob") { state error endedAt } }'


async def test_prompts_that_wait_are_limited_and_jobs_can_be_cancelled(server, connection, held):
    limits = Limits(open_prompts=6, author_open_prompts=4)
    database = await AsyncDatabase.connect(server.bolt_uri, server.user, server.password)
    connection.write("MATCH (j:Job) DETACH DELETE j")
    async with Api(database, limits, token=TOKEN, writer=connection) as api:

        async def ask(author: str, *texts: str) -> dict:
            prompts = [{"prompt": text} for text in texts]
            return await api.answer(REQUEST, prompts=prompts, author=author)

        first = (await ask("ada", "a", "b", "c"))["data"]["requestCircuits"]
        assert (await ask("ada", "a", "b", "c"))["data"]["requestCircuits"] == first
        (error,) = (await ask("ada", "d", "e"))["errors"]
        assert error["extensions"]["code"] == "OVER_LIMIT"
        assert (
            error["message"] == "With this request 5 prompts of ada would wait or be computed; the limit is 4"
        )
        assert "errors" not in await ask("bob", "f", "g", "h")
        (error,) = (await ask("eve", "i"))["errors"]
        assert error["message"] == "With this request 7 prompts would wait or be computed; the limit is 6"
        assert (await api("{ jobs { totalCount } }"))["jobs"]["totalCount"] == 2
        # A running job loses its worker.
        taken = await asyncio.to_thread(take, connection, "w")
        assert taken is not None
        cancelled = (await api(CANCEL, id=taken.id))["cancelJob"]
        assert (cancelled["state"], cancelled["error"]) == ("FAILED", "cancelled by bob")
        assert cancelled["endedAt"]
        assert not await asyncio.to_thread(renew, connection, taken.id, "w")
        assert (await api(CANCEL, id=taken.id))["cancelJob"] == cancelled
        assert (await api.error(CANCEL, id="none"))[0] == "NOT_FOUND"
        assert "errors" not in await ask("eve", "i")
    await database.close()
    connection.write("MATCH (j:Job) DETACH DELETE j")


async def test_the_client_requests_circuits(served):
    def ask() -> dict:
        with AtlasClient(served[0].replace("ws:", "http:"), token=TOKEN) as client:
            first = client.request_circuits(["by a client", {"prompt": "b", "tags": ["t"]}], author="me")
            assert (
                client.request_circuits(["by a client", {"prompt": "b", "tags": ["t"]}], author="me") == first
            )
            return first

    job = await asyncio.to_thread(ask)
    assert job == {"id": job["id"], "state": "QUEUED", "nDone": 0, "nPrompts": 2}
