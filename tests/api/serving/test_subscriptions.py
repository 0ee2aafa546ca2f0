"""Jobs are watched over a socket: every change is told, sockets are limited and closed with the server."""

import asyncio
import json
from collections.abc import Callable

import pytest
import websockets

from api.request.limits import Limits
from schema.jobs import RequestedPrompt, renew, request, take
from tests.support.api import Api, CountingDatabase
from tests.support.sockets import Socket
from tests.support.writing import BEARER, REQUEST, TOKEN

WATCH = "subscription ($id: ID!) { job(id: $id) { state nDone circuits { totalCount } } }"


async def watched(
    uri: str,
    job: str,
    payload: dict,
    headers: dict | None = None,
    query: str = WATCH,
    told: list[dict] | None = None,
) -> list[dict]:
    """What a client of graphql-transport-ws is told of a job, up to the end.

    told: receives it as it comes.
    """
    told = [] if told is None else told
    async with websockets.connect(
        uri, subprotocols=[websockets.Subprotocol("graphql-transport-ws")], additional_headers=headers
    ) as socket:
        await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
        assert json.loads(await socket.recv()) == {"type": "connection_ack"}
        ask = {"query": query, "variables": {"id": job}}
        await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": ask}))
        async for message in socket:
            told.append(json.loads(message))
            if told[-1]["type"] != "next":
                break
    return told


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.05)


async def test_a_job_is_watched_over_a_socket(writing_api, served, connection):
    uri, _, _ = served
    job = (await writing_api(REQUEST, prompts=[{"prompt": "watched"}, {"prompt": "two"}], author="me"))[
        "requestCircuits"
    ]["id"]
    told: list[dict] = []
    watching = asyncio.create_task(watched(uri, job, {"Authorization": f"Bearer {TOKEN}"}, told=told))
    await until(lambda: len(told) == 1)
    assert (await asyncio.to_thread(take, connection, "w")) is not None
    await until(lambda: len(told) == 2)
    assert await asyncio.to_thread(renew, connection, job, "w", n_done=1)
    await until(lambda: len(told) == 3)
    await asyncio.to_thread(
        connection.write, "MATCH (j:Job {id: $id}) SET j.state = 'failed', j.n_done = 2", {"id": job}
    )
    await asyncio.wait_for(watching, 60)
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


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("subscription {", "BAD_QUERY"),
        ("subscription { ...f }", "BAD_QUERY"),
        ('subscription { job(id: "a") { nothing } }', "BAD_QUERY"),
        ("{ families { name } }", "BAD_QUERY"),
        ("subscription { " + "x" * 20_000 + " }", "OVER_LIMIT"),
        ("subscription { " + 'a: job(id: "a") { id } ' * 40 + "}", "OVER_LIMIT"),
    ],
)
async def test_a_socket_says_why_it_refuses_a_text(served, query, code, caplog):
    """Whatever stage of the request refuses it. Nothing is a fault of the server."""
    (refused,) = await watched(served[0], "a", {}, BEARER, query)
    assert refused["type"] == "error"
    assert [each["extensions"]["code"] for each in refused["payload"]] == [code]
    assert refused["payload"][0]["extensions"]["nextStep"]
    assert not caplog.records


async def test_sockets_are_limited_and_a_server_that_stops_closes_them(writing_api, served):
    uri, running, task = served
    job = (await writing_api(REQUEST, prompts=[{"prompt": "left"}], author="me"))["requestCircuits"]["id"]
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


async def test_a_job_is_read_once_for_all_who_watch_and_again_only_when_it_changes(server, connection, held):
    database = await CountingDatabase.connect(server.bolt_uri, server.user, server.password)
    job = request(connection, [RequestedPrompt("watched by many")], "me")
    async with Api(database, Limits(client_subscriptions=12)) as api:
        sockets = [Socket(api) for _ in range(3)]
        for socket in sockets:
            socket.say({"type": "connection_init"})
            for number in range(5):
                asked = {"query": WATCH, "variables": {"id": job}}
                socket.say({"type": "subscribe", "id": str(number), "payload": asked})
        await asyncio.sleep(2.2)
        polls = [text for text in database.texts if "n_problems" in text]
        whole = [text for text in database.texts if "j.prompts" in text]
        assert 2 <= len(polls) <= 6
        assert len(whole) <= 12, "one for each subscription, as nothing has changed"
        for socket in sockets:
            socket.leave()
        sent = [str(each) for socket in sockets for each in await socket.answers()]
        assert sum("QUEUED" in each for each in sent) == 12
        assert sum("OVER_LIMIT" in each for each in sent) == 3
        before = len(database.texts)
        await asyncio.sleep(1.2)
        assert len(database.texts) == before, "nobody watches any more"
    await database.close()


async def test_more_subscriptions_than_a_socket_may_have_are_refused_with_a_next_step(api):
    socket = Socket(api)
    socket.say({"type": "connection_init"})
    most = Limits().subscriptions
    for number in range(most + 1):
        asked = {"query": 'subscription { job(id: "x") { id } }'}
        socket.say({"type": "subscribe", "id": str(number), "payload": asked})
    await asyncio.sleep(0)
    socket.leave()
    (error,) = (
        message["payload"]
        for each in await socket.answers()
        if (message := json.loads(each.get("bytes", "{}"))).get("id") == str(most)
    )
    assert error == [
        {
            "message": f"This WebSocket has {most} subscriptions, which is its limit",
            "extensions": {
                "code": "OVER_LIMIT",
                "nextStep": "complete one of them, or open another WebSocket",
            },
        }
    ]


async def test_sockets_of_one_client_are_limited(writing_api):
    async with Api(writing_api.database, Limits(client_sockets=2)) as api:
        sockets = [Socket(api) for _ in range(3)]
        assert [each["code"] for each in await sockets[2].answers()] == [1013]
        other = Socket(api, "127.0.0.2")
        other.say({"type": "connection_init"})
        await asyncio.sleep(0.1)
        assert not other.ended.done()
        for socket in (*sockets[:2], other):
            socket.leave()
            await socket.answers()
