"""Circuits are requested over the API, computed by a worker, and a request that is sent twice is one job."""

import asyncio
import json
import threading
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from atlas.client import AtlasClient
from ingest.circuits.run import IngestSettings
from ingest.jobs import watch
from ingest.organism.weights import MODEL_DIR, PROMPTS_PATH, TRANSCODERS_DIR
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
    ],
)
async def test_what_is_no_request(writing_api, prompts, author, code):
    assert (await writing_api.error(REQUEST, prompts=prompts, author=author))[0] == code


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
