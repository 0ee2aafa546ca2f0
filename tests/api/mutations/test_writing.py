"""Writing over HTTP: who may, what is kept, and that a request that is sent twice changes nothing twice."""

import asyncio
import json
import threading
from io import StringIO
from pathlib import Path

import httpx2
import pytest
import uvicorn
import websockets
from rich.console import Console

from api.app import create_app
from api.request.limits import Limits
from atlas.client import AtlasClient
from ingest.circuits.run import IngestSettings
from ingest.jobs import watch
from ingest.organism.weights import MODEL_DIR, PROMPTS_PATH, TRANSCODERS_DIR
from schema.annotations.roles import write_roles
from schema.circuit.records import NodeKind
from schema.database import AsyncDatabase, Database
from schema.jobs import renew, take
from schema.loading.load import load_circuit
from schema.upkeep.check import check
from tests.support.circuits import RUN, feature_id, synthetic_circuits
from tests.support.servers import empty, free_port

TOKEN = "a-token-of-tests"
BEARER = {"authorization": f"Bearer {TOKEN}"}
CIRCUITS = synthetic_circuits(3, seed=9)
MINE = CIRCUITS[0]


class Api:
    """The API of one test, with a token."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http

    async def answer(self, query: str, **variables: object) -> dict:
        response = await self.http.post("/graphql", json={"query": query, "variables": variables})
        assert response.status_code == 200, response.text
        return response.json()

    async def __call__(self, query: str, **variables: object) -> dict:
        body = await self.answer(query, **variables)
        assert "errors" not in body, body["errors"]
        return body["data"]

    async def error(self, query: str, **variables: object) -> tuple[str, str]:
        (error,) = (await self.answer(query, **variables))["errors"]
        assert error["extensions"]["nextStep"]
        return error["extensions"]["code"], error["message"]


@pytest.fixture
async def api(server, connection: Database, held):
    database = await AsyncDatabase.connect(server.bolt_uri, server.user, server.password)
    app = create_app(database, token=TOKEN, writer=connection)
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://atlas", headers=BEARER) as http:
        yield Api(http)
    await database.close()


@pytest.fixture(scope="module")
def held(connection: Database):
    """Three circuits; each test writes to parts of its own."""
    empty(connection)
    for circuit in CIRCUITS:
        load_circuit(connection, circuit, RUN)
    connection.settle()
    yield
    empty(connection)


REQUEST = """mutation ($prompts: [PromptInput!]!, $author: String!) {
  requestCircuits(prompts: $prompts, author: $author) {
    id state nPrompts nDone prompts askedBy attempts circuits { totalCount } } }"""
JOB = "{ id state nDone nPrompts problems error attempts circuits { nodes { prompt { text family } } } }"


async def test_without_a_token_nobody_writes_and_everybody_reads(server, connection, held):
    database = await AsyncDatabase.connect(server.bolt_uri, server.user, server.password)
    transport = httpx2.ASGITransport(app=create_app(database, writer=connection))
    async with httpx2.AsyncClient(transport=transport, base_url="http://atlas") as http:
        plain = Api(http)
        code, message = await plain.error(REQUEST, prompts=[{"prompt": "a"}], author="me")
        assert (code, "without a token" in message) == ("TOKEN_NEEDED", True)
        assert (await plain('{ jobs { totalCount } job(id: "x") { id } }')) == {
            "jobs": {"totalCount": 0},
            "job": None,
        }
    await database.close()


async def test_with_a_token_only_those_who_carry_it_write_and_never_by_get(api):
    ask = {"query": 'mutation { deleteRun(id: "x") { existed } }'}
    assert (
        await api.http.post("/graphql", json=ask, headers={"authorization": "Bearer x"})
    ).status_code == 401
    assert (await api.http.get("/graphql", params=ask)).status_code == 400


async def test_circuits_are_requested_computed_and_read(api, connection):
    lines = [json.loads(line) for line in PROMPTS_PATH.read_text(encoding="utf-8").splitlines()[:2]]
    prompts = [{"prompt": line["prompt"], "family": "asked for", "tags": ["t"]} for line in lines]
    job = (await api(REQUEST, prompts=prompts, author="ada"))["requestCircuits"]
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
    assert (await api(REQUEST, prompts=prompts, author="ada"))["requestCircuits"] == job
    listed = "{ jobs(state: QUEUED) { totalCount nodes { id } } }"
    assert (await api(listed))["jobs"] == {"totalCount": 1, "nodes": [{"id": job["id"]}]}
    settings = IngestSettings(Path(), MODEL_DIR, TRANSCODERS_DIR)
    quiet = Console(file=StringIO())
    await asyncio.to_thread(watch, connection, settings, threading.Event(), console=quiet, once=True)
    done = (await api("query ($id: ID!) { job(id: $id) " + JOB + "}", id=job["id"]))["job"]
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
    assert (await api(listed))["jobs"]["totalCount"] == 0


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
async def test_what_is_no_request(api, prompts, author, code):
    assert (await api.error(REQUEST, prompts=prompts, author=author))[0] == code


async def test_labels_of_people_stand_beside_the_others(api):
    node = next(node for node in MINE.nodes if node.kind is NodeKind.FEATURE)
    feature = feature_id(MINE, node)
    write = """mutation ($f: ID!, $text: String!, $author: String!) {
      labelFeature(feature: $f, text: $text, author: $author) { labels { text method author } } }"""
    before = (await api("query ($f: ID!) { feature(id: $f) { labels { text method author } } }", f=feature))[
        "feature"
    ]["labels"]
    hostile = "x' }) MATCH (n) DETACH DELETE n //"
    for text, author in (("vowels", "ada"), ("vowels", "bob"), (hostile, "ada"), ("vowels", "ada")):
        labels = (await api(write, f=feature, text=text, author=author))["labelFeature"]["labels"]
    mine = [
        {"text": text, "method": "person", "author": author}
        for text, author in (("vowels", "ada"), ("vowels", "bob"), (hostile, "ada"))
    ]
    assert sorted(labels, key=str) == sorted(before + mine, key=str)
    assert (await api.error(write, f="no/0/0", text="a", author="b"))[0] == "NOT_FOUND"
    for unseen in ("a\x00b", "a\u202eb", "a\nb"):
        code, message = await api.error(write, f=feature, text=unseen, author="b")
        assert (code, message.startswith("text: the character U+")) == ("BAD_INPUT", True)


SUPERNODES = """query ($id: ID!) { circuit(id: $id) {
  nodes(kind: FEATURE, first: 100) { nodes { id layer } }
  people: supernodes(method: "person", first: 100) { nodes { ...said } }
  supernodes(method: "roles-v2", first: 100) { nodes { ...said } } } }
fragment said on Supernode { id label method author members { id } }"""
HISTORY = (
    "query ($id: ID!) { supernodeHistory(id: $id) { id label author replacedAt members { id } replaces } }"
)


async def test_supernodes_of_people_have_versions_and_outlive_a_method(api, connection):
    async def persons() -> dict[str, tuple[str, list[str]]]:
        found = (await api(SUPERNODES, id=MINE.id))["circuit"]["people"]["nodes"]
        assert {each["method"] for each in found} == {"person"}
        return {
            each["label"]: (each["author"], sorted(node["id"] for node in each["members"])) for each in found
        }

    await asyncio.to_thread(group_by_method, connection, "first")
    seen = (await api(SUPERNODES, id=MINE.id))["circuit"]
    nodes = sorted(node["id"] for node in seen["nodes"]["nodes"])[:4]
    method = seen["supernodes"]["nodes"][0]
    assert {each["method"] for each in seen["supernodes"]["nodes"]} == {"roles-v2"}
    group = """mutation ($c: ID!, $n: [ID!]!, $l: String!) {
      groupSupernode(circuit: $c, nodes: $n, label: $l, author: "ada") { id } }"""
    one = (await api(group, c=MINE.id, n=nodes[:2], l="one"))["groupSupernode"]["id"]
    assert (await api(group, c=MINE.id, n=nodes[:2], l="one"))["groupSupernode"]["id"] == one
    two = (await api(group, c=MINE.id, n=nodes[2:], l="two"))["groupSupernode"]["id"]
    assert await persons() == {"one": ("ada", nodes[:2]), "two": ("ada", nodes[2:])}

    rename = """mutation ($id: ID!, $l: String!, $a: String!) {
      renameSupernode(id: $id, label: $l, author: $a) { id } }"""
    uno = (await api(rename, id=one, l="uno", a="bob"))["renameSupernode"]["id"]
    assert (await api(rename, id=one, l="uno", a="bob"))["renameSupernode"]["id"] == uno
    assert (await api.error(rename, id=one, l="eins", a="eve"))[0] == "CONFLICT"
    merge = 'mutation ($i: [ID!]!) { mergeSupernodes(ids: $i, label: "all", author: "bob") { id } }'
    both = (await api(merge, i=[uno, two]))["mergeSupernodes"]["id"]
    assert await persons() == {"all": ("bob", nodes)}
    split = """mutation ($id: ID!, $p: [SupernodePart!]!) {
      splitSupernode(id: $id, parts: $p, author: "eve") { id label } }"""
    parts = [{"label": "a", "nodes": nodes[:1]}, {"label": "b", "nodes": nodes[1:]}]
    assert (await api.error(split, id=both, p=parts[:1]))[0] == "BAD_INPUT"
    made = (await api(split, id=both, p=parts))["splitSupernode"]
    assert [each["label"] for each in made] == ["a", "b"]
    assert (await api(split, id=both, p=parts))["splitSupernode"] == made
    assert await persons() == {"a": ("eve", nodes[:1]), "b": ("eve", nodes[1:])}

    history = (await api(HISTORY, id=made[0]["id"]))["supernodeHistory"]
    assert {
        each["id"]: (
            *(each["label"], each["author"], each["replacedAt"] is None),
            *(sorted(node["id"] for node in each["members"]), sorted(each["replaces"])),
        )
        for each in history
    } == {
        made[0]["id"]: ("a", "eve", True, nodes[:1], [both]),
        both: ("all", "bob", False, nodes, sorted([uno, two])),
        uno: ("uno", "bob", False, nodes[:2], [one]),
        one: ("one", "ada", False, nodes[:2], []),
        two: ("two", "ada", False, nodes[2:], []),
    }
    copy = (await api(rename, id=method["id"], l="mine now", a="ada"))["renameSupernode"]["id"]
    assert copy != method["id"]
    assert set(await persons()) == {"mine now", "a", "b"}
    again = (await api(SUPERNODES, id=MINE.id))["circuit"]
    assert again["supernodes"] == seen["supernodes"]
    # The method runs again, and finds other groups.
    kept = await persons()
    await asyncio.to_thread(group_by_method, connection, "second")
    assert await persons() == kept
    assert len(kept) == 3
    assert (await api.error(rename, id=method["id"], l="x", a="ada"))[0] == "NOT_FOUND"
    assert (await api.error(group, c=MINE.id, n=["no such node"], l="x"))[0] == "NOT_FOUND"
    assert (await api.error(group, c="no such circuit", n=nodes, l="x"))[0] == "NOT_FOUND"
    assert list(check(connection)) == []


def group_by_method(database: Database, label: str) -> None:
    features = {
        (node.layer, node.index or 0): f"{label} {node.layer}"
        for node in MINE.nodes
        if node.kind is NodeKind.FEATURE
    }
    list(write_roles(database, MINE.transcoders.id, features))


async def test_prompts_are_tagged(api):
    read = "query ($id: ID!) { circuit(id: $id) { prompt { id tags } } }"
    prompt = (await api(read, id=CIRCUITS[1].id))["circuit"]["prompt"]
    write = "mutation ($p: [ID!]!, $t: [String!]!) { tagPrompts(prompts: $p, tags: $t) { id tags } }"
    for _ in range(2):
        (tagged,) = (await api(write, p=[prompt["id"]], t=["new", " `SET n.x = 1", "new"]))["tagPrompts"]
        assert tagged == {"id": prompt["id"], "tags": sorted({*prompt["tags"], "new", "`SET n.x = 1"})}
    assert (await api.error(write, p=[prompt["id"], "none"], t=["other"]))[0] == "NOT_FOUND"
    assert (await api(read, id=CIRCUITS[1].id))["circuit"]["prompt"] == tagged


WATCH = "subscription ($id: ID!) { job(id: $id) { state nDone circuits { totalCount } } }"


async def watched(
    uri: str, job: str, payload: dict, headers: dict | None = None, query: str = WATCH
) -> list[dict]:
    """What a client of graphql-transport-ws is told of a job, up to the end."""
    async with websockets.connect(
        uri, subprotocols=[websockets.Subprotocol("graphql-transport-ws")], additional_headers=headers
    ) as socket:
        await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
        assert json.loads(await socket.recv()) == {"type": "connection_ack"}
        ask = {"query": query, "variables": {"id": job}}
        await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": ask}))
        told = []
        async for message in socket:
            told.append(json.loads(message))
            if told[-1]["type"] != "next":
                break
    return told


@pytest.fixture
async def served(server, connection, held):
    """A real server, and what stops it."""
    database = await AsyncDatabase.connect(server.bolt_uri, server.user, server.password)
    app = create_app(database, token=TOKEN, writer=connection, limits=Limits(sockets=2))
    port = free_port()
    config = uvicorn.Config(
        *(app, "127.0.0.1", port), log_level="warning", ws="websockets-sansio", timeout_graceful_shutdown=5
    )
    running = uvicorn.Server(config)
    task = asyncio.create_task(running.serve())
    while not running.started:
        await asyncio.sleep(0.01)
    yield f"ws://127.0.0.1:{port}/graphql", running, task
    running.should_exit = True
    await task
    await database.close()


async def test_a_job_is_watched_over_a_socket(api, served, connection):
    uri, _, _ = served
    job = (await api(REQUEST, prompts=[{"prompt": "watched"}, {"prompt": "two"}], author="me"))[
        "requestCircuits"
    ]["id"]
    watching = asyncio.create_task(watched(uri, job, {"Authorization": f"Bearer {TOKEN}"}))
    for step in range(3):
        await asyncio.sleep(0.8)
        if step == 0:
            assert (await asyncio.to_thread(take, connection, "w")) is not None
        elif step == 1:
            assert await asyncio.to_thread(renew, connection, job, "w", n_done=1)
    await asyncio.to_thread(
        connection.write, "MATCH (j:Job {id: $id}) SET j.state = 'failed', j.n_done = 2", {"id": job}
    )
    told = await asyncio.wait_for(watching, 10)
    assert told[-1] == {"id": "1", "type": "complete"}
    assert [each["payload"]["data"]["job"] for each in told[:-1]] == [
        {"state": state, "nDone": n_done, "circuits": {"totalCount": 0}}
        for state, n_done in (("QUEUED", 0), ("RUNNING", 0), ("RUNNING", 1), ("FAILED", 2))
    ]
    # The header does as well; errors are told as in answers; queries do not go this way.
    error, _ = await watched(uri, "no such job", {}, BEARER)
    assert error["payload"]["errors"][0]["extensions"]["code"] == "NOT_FOUND"
    query = WATCH.replace("totalCount", "nodes { nodes(first: 100) { nodes { id } } }")
    query = query.replace("circuits", "circuits(first: 100)")
    costly = query.replace("{ id }", "{ id feature { circuits(first: 100) { nodes { circuit { id } } } } }")
    error, _ = await watched(uri, job, {}, BEARER, costly)
    assert error["payload"]["errors"][0]["extensions"]["code"] == "OVER_LIMIT"
    (error,) = await watched(uri, job, {}, BEARER, "query ($id: ID!) { job(id: $id) { state } }")
    assert error["payload"][0]["extensions"]["code"] == "BAD_QUERY"
    for payload in ({}, {"authorization": "Bearer wrong"}):
        with pytest.raises(websockets.ConnectionClosedError, match="4403"):
            await watched(uri, job, payload)


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


async def test_sockets_are_limited_and_a_server_that_stops_closes_them(api, served):
    uri, running, task = served
    job = (await api(REQUEST, prompts=[{"prompt": "left"}], author="me"))["requestCircuits"]["id"]
    waiting = [asyncio.create_task(watched(uri, job, {"authorization": f"Bearer {TOKEN}"})) for _ in range(2)]
    await asyncio.sleep(1)
    with pytest.raises(websockets.InvalidStatus):
        await watched(uri, job, {}, BEARER)
    running.should_exit = True
    await asyncio.wait_for(asyncio.shield(task), 10)
    for each in waiting:
        with pytest.raises(websockets.ConnectionClosedError) as closed:
            await each
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012


async def test_a_run_is_deleted_and_again(api, connection):
    delete = "mutation ($id: ID!) { deleteRun(id: $id) { id existed nCircuits } }"
    asked = "{ circuits { totalCount } runs { nodes { id } } }"
    before = await api(asked)
    (run,) = [each["id"] for each in before["runs"]["nodes"] if each["id"] == RUN.id]
    answer = (await api(delete, id=run))["deleteRun"]
    assert answer == {"id": run, "existed": True, "nCircuits": len(CIRCUITS)}
    assert (await api(delete, id=run))["deleteRun"] == {"id": run, "existed": False, "nCircuits": 0}
    after = await api(asked)
    assert after["circuits"]["totalCount"] == before["circuits"]["totalCount"] - len(CIRCUITS)
    assert connection.read("MATCH (n:Supernode|FormerSupernode) WHERE n.author = 'ada' RETURN n") == []
