"""What surrounds the answers: cost, the number of running queries, tokens, counters, logs, disconnections."""

import asyncio
import json
import logging
import re
import time

import httpx2
import pytest

from api.app import create_app
from api.request.limits import Limits
from api.serving.logs import JsonLines
from schema.database import AsyncDatabase, Parameters, Rows


@pytest.mark.parametrize(
    ("query", "variables", "cost"),
    [
        ("{ families { name } }", {}, 5),
        ("{ circuits { totalCount } }", {}, 1),
        ("{ circuits { nodes { id } } }", {}, 1 + 20),
        ("{ circuits(first: 7) { nodes { id prompt { text } } } }", {}, 1 + 7 * 2),
        ("{ circuits(first: 7) { edges { node { id } } } }", {}, 1 + 7 * 2),
        (
            "query ($n: Int = 4) { circuits(first: $n) { nodes { ...f } } } "
            "fragment f on Circuit { features(first: 3) { nodes { feature { id } } } }",
            {},
            1 + 4 * (1 + 1 + 3 * 2),
        ),
        ("query ($n: Int) { circuits(first: $n) { nodes { id } } }", {"n": 9}, 1 + 9),
        ("query a { families { name } } query b { circuits { nodes { id } } }", {"operation": "b"}, 21),
        ("{ a: circuits { nodes { id } } b: circuits { nodes { ... on Circuit { id } } } }", {}, 42),
        ("{ __schema { types { name } } }", {}, 0),
    ],
)
async def test_every_answer_says_what_it_may_cost(api, query, variables, cost):
    name = variables.pop("operation", None)
    response = await api.http.post(
        "/graphql", json={"query": query, "variables": variables, "operationName": name}
    )
    body = response.json()
    assert "errors" not in body
    assert body["extensions"] == {"cost": {"estimated": cost, "limit": 50_000}}


async def test_too_costly_a_query_is_not_run(api_with):
    api = api_with(Limits(cost=100))
    query = "{ circuits(first: 50) { nodes { prompt { text } } } }"
    assert await api.error(query) == (
        "OVER_LIMIT",
        "The query may cost 101; the limit is 100",
        "ask for smaller pages (first: …) inside lists, or for less nesting",
    )
    assert api.database.queries == 0
    assert "errors" not in await api.answer("{ circuits(first: 49) { nodes { prompt { text } } } }")


async def test_introspection_can_be_switched_off(api_with):
    api = api_with(Limits(introspection=False))
    errors = (await api.answer("{ __schema { queryType { name } } }"))["errors"]
    assert {error["extensions"]["code"] for error in errors} == {"BAD_QUERY"}
    assert "errors" not in await api.answer("{ families { name } }")


class Slow(AsyncDatabase):
    """Every question takes the database as long as it is let."""

    async def read(self, text: str, parameters: Parameters = None, *, timeout_s: float | None = None) -> Rows:
        slow = "UNWIND range(1, 1000000000000) AS slow_of_test RETURN sum(sqrt(slow_of_test)) AS x"
        return await super().read(slow, timeout_s=timeout_s)


SHOW = """SHOW TRANSACTIONS YIELD currentQuery WHERE currentQuery CONTAINS 'slow_of_test'
          AND NOT currentQuery CONTAINS 'SHOW' RETURN count(*) AS n"""


async def running(database, n):
    """Waits until the database runs `n` slow queries."""
    for _ in range(100):
        (row,) = await database.read(SHOW)
        if row["n"] == n:
            return True
        await asyncio.sleep(0.1)
    return False


@pytest.fixture
async def slow(server, circuits):
    database = await Slow.connect(server.bolt_uri, server.user, server.password)
    yield database
    await database.close()


async def test_a_client_that_goes_away_cancels_its_query(slow, async_plain):
    app = create_app(slow)
    body = json.dumps({"query": "{ families { name } a: families { name } runs { totalCount } }"}).encode()
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/graphql",
        "raw_path": b"/graphql",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("atlas", 80),
        "client": ("test", 1),
    }
    gone, sent = asyncio.Event(), []
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive():
        if messages:
            return messages.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    request = asyncio.create_task(app(scope, receive, send))
    assert await running(async_plain, 3)
    gone.set()
    await asyncio.wait_for(request, 5)
    assert sent == []
    assert await running(async_plain, 0)


async def test_no_more_queries_than_the_limit_run_at_once(slow, async_plain):
    transport = httpx2.ASGITransport(app=create_app(slow, limits=Limits(running=2, waiting=0, timeout_s=3)))
    async with httpx2.AsyncClient(transport=transport, base_url="http://atlas") as http:
        ask = {"query": "{ families { name } }"}
        first = [asyncio.create_task(http.post("/graphql", json=ask)) for _ in range(2)]
        assert await running(async_plain, 2)
        refused = await http.post("/graphql", json=ask)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert refused.json()["errors"][0]["extensions"]["code"] == "BUSY"
        for answer in await asyncio.gather(*first):
            assert answer.json()["errors"][0]["extensions"]["code"] == "QUERY_TIMEOUT"
        again = await http.post("/graphql", json={"query": "{ __typename }"})
        assert again.json()["data"] == {"__typename": "Query"}


async def test_who_finds_no_slot_waits_and_is_served_in_order(slow, async_plain):
    transport = httpx2.ASGITransport(app=create_app(slow, limits=Limits(running=1, waiting=2, timeout_s=2)))
    served = []
    async with httpx2.AsyncClient(transport=transport, base_url="http://atlas") as http:

        async def ask(name, query):
            answer = await http.post("/graphql", json={"query": query})
            served.append(name)
            return answer.json()

        first = asyncio.create_task(ask("first", "{ families { name } }"))
        assert await running(async_plain, 1)
        line = [asyncio.create_task(ask("second", "{ families { name } }"))]
        await asyncio.sleep(0.05)
        line.append(asyncio.create_task(ask("third", "{ __typename }")))
        await asyncio.sleep(0.05)
        refused = await http.post("/graphql", json={"query": "{ __typename }"})
        assert (refused.status_code, served) == (429, [])
        assert (await http.get("/export/hubs.csv")).status_code == 429
        metrics = (await http.get("/metrics")).text.splitlines()
        assert {"atlas_running_queries 1.0", "atlas_waiting_queries 2.0"} <= set(metrics)
        # Waiting for a slot does not count as time in the database: the second has its two seconds, too.
        begin = time.monotonic()
        answers = await asyncio.gather(first, *line)
        assert time.monotonic() - begin > 2.5
        assert served == ["first", "second", "third"]
        codes = [answer["errors"][0]["extensions"]["code"] for answer in answers[:2]]
        assert codes == ["QUERY_TIMEOUT", "QUERY_TIMEOUT"]
        assert answers[2]["data"] == {"__typename": "Query"}


async def test_who_goes_away_while_waiting_leaves_the_line(slow, async_plain):
    app = create_app(slow, limits=Limits(running=1, waiting=1, timeout_s=3))
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://atlas") as http:
        first = asyncio.create_task(http.post("/graphql", json={"query": "{ families { name } }"}))
        assert await running(async_plain, 1)
        for path in ("/graphql?query={__typename}", "/export/hubs.csv"):
            left = asyncio.create_task(http.get(path))
            await asyncio.sleep(0.1)
            assert "atlas_waiting_queries 1.0" in (await http.get("/metrics")).text
            left.cancel()
            await asyncio.gather(left, return_exceptions=True)
            assert "atlas_waiting_queries 0.0" in (await http.get("/metrics")).text
        assert (await first).status_code == 200


@pytest.fixture
async def async_plain(server, circuits):
    database = await AsyncDatabase.connect(server.bolt_uri, server.user, server.password)
    yield database
    await database.close()


async def test_a_token(async_plain):
    app = create_app(async_plain, token="s3cret-ä")
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://atlas") as http:
        ask = {"query": "{ __typename }"}
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic s3cret"}):
            refused = await http.post("/graphql", json=ask, headers=headers)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
            assert refused.json()["errors"][0]["extensions"]["code"] == "UNAUTHORIZED"
        right = [(b"authorization", "Bearer s3cret-ä".encode())]
        answer = await http.post("/graphql", json=ask, headers=right)
        assert answer.json()["data"] == {"__typename": "Query"}
        assert (await http.get("/graphql", params=ask)).status_code == 401
        assert (await http.get("/graphql", params=ask, headers={"accept": "text/html"})).status_code == 401
        assert (await http.get("/metrics")).status_code == 401
        assert (await http.get("/graphql", headers={"accept": "text/html"})).status_code == 200
        for page in ("/", "/healthz", "/readyz"):
            assert (await http.get(page)).status_code == 200


async def test_requests_are_counted_and_numbered(async_plain, caplog):
    transport = httpx2.ASGITransport(app=create_app(async_plain))
    with caplog.at_level(logging.INFO, logger="atlas.access"):
        async with httpx2.AsyncClient(transport=transport, base_url="http://atlas") as http:
            answer = await http.post("/graphql", json={"query": "{ families { name } }"})
            named = {"x-request-id": "mine-1"}
            failed = await http.post("/graphql", json={"query": "{ nothing }"}, headers=named)
            bad = await http.get("/no/such", headers={"x-request-id": "{not one}"})
            metrics = (await http.get("/metrics")).text
    assert re.fullmatch(r"[0-9a-f]{12}", answer.headers["x-request-id"])
    assert re.fullmatch(r"[0-9a-f]{12}", bad.headers["x-request-id"])
    assert failed.headers["x-request-id"] == "mine-1"
    assert 'atlas_requests_total{path="/graphql",status="200"} 2.0' in metrics
    assert 'atlas_requests_total{path="other",status="404"} 1.0' in metrics
    assert 'atlas_errors_total{code="BAD_QUERY"} 1.0' in metrics
    assert 'atlas_database_seconds_count{question="families"} 1.0' in metrics
    assert "atlas_running_queries 0.0" in metrics
    lines = [json.loads(JsonLines().format(record)) for record in caplog.records]
    first = lines[0]
    assert first.pop("ms") > 0
    assert first.pop("time")
    assert first == {
        "level": "info",
        "logger": "atlas.access",
        "message": "request",
        "request": answer.headers["x-request-id"],
        "method": "POST",
        "path": "/graphql",
        "status": 200,
    }
    assert (lines[1]["request"], lines[1]["errors"]) == ("mine-1", ["BAD_QUERY"])


async def test_other_origins_are_told_nothing(api):
    headers = {"origin": "http://elsewhere", "access-control-request-method": "POST"}
    answer = await api.http.options("/graphql", headers=headers)
    assert answer.status_code == 405
    answer = await api.http.post("/graphql", json={"query": "{ __typename }"}, headers=headers)
    assert not [name for name in answer.headers if name.startswith("access-control")]
