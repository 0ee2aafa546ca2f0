"""What surrounds the answers: cost, the number of running queries, tokens, counters, logs, disconnections."""

import asyncio
import json
import logging
import re

import httpx2
import pytest

from api.app import create_app
from api.request.limits import Limits
from api.request.weights import FIELD_MS
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
        ("{ __schema { types { name fields { name } } } }", {}, 1 + 350 * (1 + 5)),
        ("{ __typename }", {}, 0),
    ],
)
async def test_every_answer_says_what_it_may_cost(api, query, variables, cost):
    name = variables.pop("operation", None)
    response = await api.http.post(
        "/graphql", json={"query": query, "variables": variables, "operationName": name}
    )
    body = response.json()
    assert "errors" not in body
    assert (body["extensions"]["cost"]["estimated"], body["extensions"]["cost"]["limit"]) == (cost, 50_000)


async def test_what_the_database_may_take_is_limited_by_the_kind_of_question(api_with):
    """Thirty heavy questions cost as many objects as thirty light ones."""
    asked = {"Query.motifs": "motifs(minSupport: 2)", "Query.sharedFeatures": "sharedFeatures"}
    for field, text in asked.items():
        ms = FIELD_MS[field]
        api = api_with(Limits(database_ms=2 * ms))
        three = "{" + " ".join(f"a{n}: {text} {{ totalCount }}" for n in range(3)) + "}"
        assert (await api.error(three))[:2] == (
            "OVER_LIMIT",
            f"The query may take the database {3 * ms} ms; the limit is {2 * ms}",
        )
        assert api.database.queries == 0
    body = await api_with(None).answer("{ motifs(minSupport: 2) { totalCount } }")
    assert body["extensions"]["cost"]["databaseMs"] == FIELD_MS["Query.motifs"]


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
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
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


async def counted(http, expected):
    """Waits until the metrics show these lines."""
    for _ in range(100):
        if expected <= set((await http.get("/metrics")).text.splitlines()):
            return True
        await asyncio.sleep(0.1)
    return False


def client_at(app, address: str = "127.0.0.1") -> httpx2.AsyncClient:
    """A client of the API whose requests come from this address."""
    transport = httpx2.ASGITransport(app=app, client=(address, 1))
    return httpx2.AsyncClient(transport=transport, base_url="http://localhost")


async def test_no_more_requests_than_the_limit_are_at_hand(slow, async_plain):
    async with client_at(create_app(slow, limits=Limits(running=2, waiting=0, timeout_s=3))) as http:
        ask = {"query": "{ families { name } }"}
        first = [asyncio.create_task(http.post("/graphql", json=ask)) for _ in range(2)]
        assert await running(async_plain, 2)
        refused = await http.post("/graphql", json=ask)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert refused.json()["errors"][0]["extensions"]["code"] == "BUSY"
        assert (await http.get("/export/hubs.csv")).status_code == 429
        for answer in await asyncio.gather(*first):
            assert answer.json()["errors"][0]["extensions"]["code"] == "QUERY_TIMEOUT"
        again = await http.post("/graphql", json={"query": "{ __typename }"})
        assert again.json()["data"] == {"__typename": "Query"}


async def test_questions_wait_for_a_slot_and_the_rest_of_the_server_does_not(slow, async_plain):
    app = create_app(slow, limits=Limits(running=1, waiting=9, timeout_s=3))
    async with client_at(app) as http, client_at(app, "127.0.0.2") as other:
        asked = [
            asyncio.create_task(http.post("/graphql", json={"query": "{ families { name } }"}))
            for _ in range(3)
        ]
        assert await running(async_plain, 1)
        assert await counted(other, {"atlas_running_queries 1.0", "atlas_waiting_queries 2.0"})
        # What asks the database nothing is answered at once.
        free = await other.post("/graphql", json={"query": "{ __typename }"})
        assert free.json()["data"] == {"__typename": "Query"}
        assert not any(each.done() for each in asked)
        # The time of a request is over whatever it waits for.
        for answer in await asyncio.gather(*asked):
            (error,) = answer.json()["errors"]
            assert error["extensions"]["code"] == "QUERY_TIMEOUT"
        assert await running(async_plain, 0)


async def test_many_questions_of_one_client_leave_the_others_their_share(slow, async_plain):
    app = create_app(slow, limits=Limits(running=3, client_running=2, timeout_s=4))
    async with client_at(app) as http, client_at(app, "127.0.0.2") as other:
        many = "{" + " ".join(f"a{n}: families {{ name }}" for n in range(9)) + " runs { totalCount } }"
        asked = asyncio.create_task(http.post("/graphql", json={"query": many}))
        assert await running(async_plain, 2)
        beside = asyncio.create_task(other.post("/graphql", json={"query": "{ families { name } }"}))
        assert await running(async_plain, 3)
        await asyncio.gather(asked, beside)


async def test_many_requests_of_one_client_are_worked_on_a_few_at_a_time(slow, async_plain):
    app = create_app(slow, limits=Limits(running=9, client_running=9, client_at_once=2, timeout_s=4))
    async with client_at(app) as http, client_at(app, "127.0.0.2") as other:
        ask = {"query": "{ families { name } }"}
        asked = [asyncio.create_task(http.post("/graphql", json=ask)) for _ in range(5)]
        assert await running(async_plain, 2)
        asked.append(asyncio.create_task(other.post("/graphql", json=ask)))
        assert await running(async_plain, 3)
        for answer in await asyncio.gather(*asked):
            (error,) = answer.json()["errors"]
            assert error["extensions"]["code"] == "QUERY_TIMEOUT"


async def test_a_client_that_has_used_much_is_asked_one_question_at_a_time_for(slow, async_plain):
    """Whatever it asks: of several requests, and within one."""
    app = create_app(slow, limits=Limits(client_s=0, timeout_s=4))
    async with client_at(app) as http, client_at(app, "127.0.0.2") as other:
        assert (await other.post("/graphql", json={"query": "{ __typename }"})).status_code == 200
        many = "{" + " ".join(f"a{n}: families {{ name }}" for n in range(3)) + " runs { totalCount } }"
        asked = [asyncio.create_task(http.post("/graphql", json={"query": many})) for _ in range(2)]
        assert await running(async_plain, 1)
        await asyncio.sleep(0.5)
        assert await running(async_plain, 1)
        await asyncio.gather(*asked)


async def test_who_goes_away_while_waiting_leaves_the_line(slow, async_plain):
    async with client_at(create_app(slow, limits=Limits(running=1, waiting=5, timeout_s=3))) as http:
        first = asyncio.create_task(http.post("/graphql", json={"query": "{ families { name } }"}))
        assert await running(async_plain, 1)
        left = asyncio.create_task(http.get("/graphql?query={runs{totalCount}}"))
        assert await counted(http, {"atlas_waiting_queries 1.0"})
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
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
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
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
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


async def test_other_origins_are_told_nothing_and_may_send_nothing(api):
    elsewhere = {"origin": "http://elsewhere"}
    answer = await api.http.options("/graphql", headers=elsewhere | {"access-control-request-method": "POST"})
    assert answer.status_code == 405
    ask = {"query": "{ __typename }"}
    answer = await api.http.post("/graphql", json=ask, headers=elsewhere)
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (403, "FORBIDDEN_ORIGIN")
    for origin in ("http://localhost:8000", "null", "http://localhost.elsewhere", "file://"):
        assert (await api.http.post("/graphql", json=ask, headers={"origin": origin})).status_code == 403
    assert (
        await api.http.post("/graphql", json=ask, headers={"origin": "http://localhost"})
    ).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "says"),
    [
        ("GET", "/nothing", 404, "open /"),
        ("GET", "/explorer/nothing.js", 404, "open /"),
        ("GET", "/pages/..%2fapp.py", 404, "open /"),
        ("GET", "/export/a/b", 404, "open /"),
        ("DELETE", "/healthz", 405, "use GET"),
        ("POST", "/metrics", 405, "use GET"),
    ],
)
async def test_a_path_or_method_that_is_not_there_is_refused_like_everything_else(
    api, method, path, status, says
):
    answer = await api.http.request(method, path)
    assert answer.status_code == status
    (error,) = answer.json()["errors"]
    assert error["message"]
    assert error["extensions"]["code"] in ("NOT_FOUND", "BAD_REQUEST")
    assert says in error["extensions"]["nextStep"]


@pytest.mark.parametrize("path", ["/", "/graphql?query={__typename}", "/healthz", "/export", "/metrics"])
async def test_a_server_without_a_token_answers_to_its_own_names_only(api, path):
    """A page of another site can point its own name at this machine."""
    for host in ("elsewhere.example", "localhost.elsewhere.example", "127.0.0.1.elsewhere", "", "a b", "@"):
        answer = await api.http.get(path, headers={"host": host})
        assert answer.status_code == 400
        (error,) = answer.json()["errors"]
        assert host in error["message"]
        assert error["extensions"]["code"] == "UNKNOWN_HOST"
        assert "--name" in error["extensions"]["nextStep"]
    for host in ("localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000"):
        assert (await api.http.get(path, headers={"host": host})).status_code == 200


async def test_other_names_are_those_given_and_a_token_needs_none(async_plain):
    app = create_app(async_plain, hosts=["atlas.example"])
    async with client_at(app) as http:
        assert (await http.get("/healthz", headers={"host": "atlas.example"})).status_code == 200
        assert (await http.get("/healthz")).status_code == 400
    async with client_at(create_app(async_plain, token="0123456789abcdef")) as http:
        assert (await http.get("/healthz", headers={"host": "any.example"})).status_code == 200


@pytest.mark.parametrize("path", ["/", "/graphql", "/explorer/main.js", "/nothing", "/export/none.csv"])
async def test_every_answer_tells_browsers_to_run_nothing_else(api, path):
    answer = await api.http.get(path, headers={"accept": "text/html"})
    policy = dict(each.strip().split(" ", 1) for each in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert answer.headers["x-content-type-options"] == "nosniff"
    if answer.headers["content-type"].startswith("text/html"):  # templates of modules become listeners
        assert not re.search(r"<script>|<script [^>]*>[^<]|\son\w+=|javascript:", answer.text)
    for script in re.findall(r'(?:src|href)="(/(?:pages|graphiql|explorer)/[^"]+)"', answer.text):
        assert (await api.http.get(script)).status_code == 200
