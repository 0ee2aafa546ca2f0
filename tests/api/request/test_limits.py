"""Limits, errors, hostile input, and how many queries reach the database."""

import asyncio
import json
import logging
from typing import Any

import httpx2
import pytest
from starlette.types import Message

from api.app import create_app
from api.request.limits import Limits
from schema.circuit.records import NodeKind
from schema.database import AsyncDatabase, Parameters, Rows
from schema.errors import DatabaseError, UnreachableError

INJECTIONS = (
    "' OR 1=1 //",
    '"}) DETACH DELETE n //',
    "` MATCH (n) RETURN n `",
    "$circuits",
    "*:* OR text:[* TO *]",
    'AND +"~(\\',
    "\x00",
    "café 東京 🙂",
    '{"$ne": null}',
)


async def test_too_deep(api_with):
    api = api_with(Limits(depth=4))
    assert "errors" not in await api.answer("{ circuits { nodes { id } } }")
    query = "{ circuits(first: 1) { nodes { features { nodes { circuit { id } } } } } }"
    assert await api.error(query) == (
        "OVER_LIMIT",
        "The query is 6 levels deep; the limit is 4",
        "ask for the ids first, and for the deeper levels in a second query",
    )
    in_a_fragment = (
        "{ circuits { nodes { ...f } } } fragment f on Circuit { features { nodes { circuit { id } } } }"
    )
    assert (await api.error(in_a_fragment))[0] == "OVER_LIMIT"


async def test_too_many_fields_through_fragments(api):
    fragments = "fragment f0 on Circuit { id answer dtype }" + "".join(
        f" fragment f{n} on Circuit {{ ...f{n - 1} ...f{n - 1} }}" for n in range(1, 40)
    )
    code, message, _ = await api.error("{ circuits { nodes { ...f39 } } } " + fragments)
    assert code == "OVER_LIMIT"
    # 3 fields, used 2 ** 39 times with 2 ** 40 - 1 uses of fragments, and the two fields around them
    expected = 3 * 2**39 + 2**40 - 1 + 2
    assert message == f"The query has {expected} fields and fragments; the limit is 1000"


async def test_a_fragment_that_uses_itself_is_refused(api):
    body = await api.answer("{ circuits { nodes { ...f } } } fragment f on Circuit { id ...f }")
    assert [error["extensions"]["code"] for error in body["errors"]] == ["BAD_QUERY"]


async def test_too_many_aliases(api):
    query = "{" + " ".join(f'a{n}: circuit(id: "x") {{ id }}' for n in range(31)) + "}"
    assert (await api.error(query))[:2] == ("OVER_LIMIT", "The query has 31 aliases; the limit is 30")


async def test_too_long_and_too_nested_documents(api):
    assert (await api.error("{ families { name } }" + " " * 20_000))[:2] == (
        "OVER_LIMIT",
        "The query is 20021 characters long; the limit is 20000",
    )
    code, message, _ = await api.error("{ a " * 3000 + "}" * 3000)
    assert (code, "nested too deeply" in message) == ("BAD_QUERY", True)


async def test_too_large_a_request(api):
    json = {"content-type": "application/json"}
    response = await api.http.post(
        "/graphql", content=b'{"query": "' + b" " * 1_000_001 + b'"}', headers=json
    )
    assert (response.status_code, response.json()["errors"][0]["extensions"]["code"]) == (413, "OVER_LIMIT")


@pytest.mark.parametrize(
    ("field", "code", "message"),
    [
        (
            "circuits(first: 101) { totalCount }",
            "OVER_LIMIT",
            "first: 101 is over the limit of 100 entries a page",
        ),
        ("circuits(first: 0) { totalCount }", "BAD_INPUT", "first: 0 is not a page size"),
        ("circuits(first: -5) { totalCount }", "BAD_INPUT", "first: -5 is not a page size"),
        ('circuits(after: "xyz") { totalCount }', "BAD_INPUT", "after: 'xyz' is not a cursor of this API"),
        ('features(search: "!?") { totalCount }', "BAD_INPUT", "There is no word to search for in '!?'"),
        ("features(minCircuits: 0) { totalCount }", "BAD_INPUT", "minCircuits: 0 is too small"),
        ("circuitsSharing(features: []) { totalCount }", "BAD_INPUT", "features: the list is empty"),
        ("sharedFeatures(families: []) { totalCount }", "BAD_INPUT", "families: the list is empty"),
        ('sharedFeatures(families: ["x"]) { totalCount }', "NOT_FOUND", "The database has no family 'x'"),
        ('sharedFeatures(tags: ["t"]) { totalCount }', "NOT_FOUND", "The database has no tag 't'"),
        ('circuitsSharing(features: ["f"]) { totalCount }', "NOT_FOUND", "The database has no feature 'f'"),
        (
            'compareCircuits(a: "p", b: "q") { a { id } }',
            "NOT_FOUND",
            "The database has no circuit 'p', circuit 'q'",
        ),
        (
            "circuits(last: 3) { totalCount }",
            "BAD_QUERY",
            "Unknown argument 'last' on field 'Query.circuits'.",
        ),
        ("nothing", "BAD_QUERY", "Cannot query field 'nothing' on type 'Query'."),
        ("circuits(first: 2147483648) { totalCount }", "BAD_QUERY", None),
        ("circuits { ", "BAD_QUERY", None),
    ],
)
async def test_bad_input_is_answered_with_code_and_next_step(api, field, code, message):
    found = await api.error("{ " + field + " }")
    assert found[0] == code
    assert message is None or found[1] == message
    assert found[2]


async def test_sets_that_overlap_are_refused(api):
    query = '{ sharedFeatures(families: ["capitals"], absentFrom: {tags: ["two-hop"]}) { totalCount } }'
    code, message, _ = await api.error(query)
    assert code == "BAD_INPUT"
    assert message.endswith("circuits are both in the set and in absentFrom")


async def test_too_long_a_list(api):
    query = "query ($ids: [ID!]!) { circuitsSharing(features: $ids) { totalCount } }"
    assert await api.error(query, ids=[f"f{n}" for n in range(501)]) == (
        "OVER_LIMIT",
        "features: 501 entries are over the limit of 500",
        "name families or tags instead of ids, or ask in several queries",
    )
    assert (await api.error(query, ids=[f"f{n}" for n in range(500)]))[0] == "NOT_FOUND"
    long = "query ($text: String) { circuits(filter: {text: $text}) { totalCount } }"
    assert (await api.error(long, text="x" * 2001))[0] == "OVER_LIMIT"


async def test_too_many_rows(api_with):
    api = api_with(Limits(rows=1000))
    query = "{ circuits(first: %d) { nodes { nodes(first: 100) { nodes { id } } } } }"
    errors = (await api.answer(query % 20))["errors"]
    assert {error["extensions"]["code"] for error in errors} == {"OVER_LIMIT"}
    assert "errors" not in await api.answer(query % 4)


async def test_time_is_limited(api_with):
    """Whether a question or the whole request ends it, which has another status."""
    api = api_with(Limits(timeout_s=0.0))
    answer = await api.http.post("/graphql", json={"query": "{ families { name } }"})
    (error,) = answer.json()["errors"]
    assert error["extensions"]["code"] == "QUERY_TIMEOUT"
    assert error["message"] == "The request used up its 0 s"
    assert error["extensions"]["nextStep"]


@pytest.mark.parametrize("text", INJECTIONS)
async def test_hostile_strings_are_only_values(api, circuits, text):
    before = (await api("{ families { name nCircuits } }"))["families"]
    body = await api.answer(
        """query ($t: String!, $id: ID!) {
          feature(id: $id) { id } circuit(id: $id) { id }
          a: features(family: $t) { totalCount }
          b: circuits(filter: {families: [$t], tags: [$t], answer: $t, model: $t, transcoders: $t, pair: $t,
                               split: $t}) { totalCount }
          c: supernodes(families: [$t]) { totalCount }
          d: families(names: [$t]) { name } }""",
        t=text,
        id=text,
    )
    zero = {"totalCount": 0}
    assert "errors" not in body
    assert body["data"] == {"feature": None, "circuit": None, "a": zero, "b": zero, "c": zero, "d": []}
    for field in (
        "features(search: $t) { totalCount }",
        "circuits(filter: {text: $t}) { totalCount }",
        "supernodes(label: $t) { totalCount }",
        "sharedFeatures(families: [$t]) { totalCount }",
        "sharedFeatures(tags: [$t]) { totalCount }",
        "circuits(after: $t) { totalCount }",
        "sharedFeatures(absentFrom: {families: [$t]}) { totalCount }",
        "search(text: $t) { nodes { circuits { totalCount } } }",
        "recurringEdges(families: [$t]) { totalCount }",
        "errorAudit(families: [$t]) { untrusted { totalCount } }",
        "contrast(positive: {families: [$t]}, negative: {tags: [$t]}) { features { totalCount } }",
        'paths(from: {token: $t}, to: {logit: $t}, inCircuits: {families: ["capitals"]}) { totalCount }',
        'paths(from: {supernode: $t}, to: {token: $t}, inCircuits: {families: ["capitals"]}) { totalCount }',
    ):
        for error in (await api.answer(f"query ($t: String!) {{ {field} }}", t=text)).get("errors", ()):
            assert error["extensions"]["code"] in ("BAD_INPUT", "NOT_FOUND")
    for field in (
        "circuitsSharing(features: [$t]) { totalCount }",
        "sharedFeatures(circuits: [$t]) { totalCount }",
        "compareCircuits(a: $t, b: $t) { a { id } }",
        "similarCircuits(circuit: $t) { totalCount }",
        'paths(from: {feature: $t}, to: {logit: "x"}, inCircuits: {}) { totalCount }',
    ):
        assert (await api.error(f"query ($t: ID!) {{ {field} }}", t=text))[0] == "NOT_FOUND"
    assert (await api("{ families { name nCircuits } }"))["families"] == before


NESTED = """
query ($first: Int!) {
  circuits(first: $first) { nodes {
    prompt { family } transcoders { model { name } } run { id }
    nodes(kind: FEATURE, first: 3) { nodes { feature { labels { text } families { family } nConsidered } } }
    edges(first: 3) { nodes { source { feature { id } } target { token } } }
    features(first: 3) { nodes { occurrences { token logits { logit { token } } } } }
    supernodes { nodes { members { id } } } supernodeEdges { source { label } }
  } }
}"""


async def test_the_number_of_database_queries_does_not_grow_with_the_page(api):
    for first in (2, 24):
        before = api.database.queries
        data = await api(NESTED, first=first)
        assert len(data["circuits"]["nodes"]) == first
        # At most one query for each field that asks one; fewer when their look-ups happen to meet.
        assert api.database.queries - before <= 23


@pytest.mark.parametrize(
    ("query", "queries"),
    [
        ("{ circuits { nodes { answer prompt { text } } } }", 1),
        ("{ features { nodes { layer } } }", 2),
        ("{ circuit(id: $c) { prompt { text } features { nodes { feature { layer } } } } }", 1),
        ("{ feature(id: $f) { layer circuits { nodes { circuit { answer prompt { text } } } } } }", 1),
        ("{ circuit(id: $c) { nodes { nodes { kind token } } } }", 1),
        ("{ circuit(id: $c) { edges { nodes { weight } } } }", 1),
        ("{ feature(id: $f) { drives { nodes { feature { layer } } } } }", 2),
        ("{ feature(id: $f) { drivenBy { nodes { feature { layer } } } } }", 2),
        ("{ circuitsSharing(features: [$f]) { nodes { circuit { prompt { text } } } } }", 3),
        ("{ sharedFeatures(circuits: [$c, $d], minCircuits: 1) { nodes { feature { layer } } } }", 3),
        ("{ contrast(positive: {circuits: [$c]}, negative: {circuits: [$d]}) { features { nodes { "
         "feature { layer } } } } }", 4),
        ("{ similarCircuits(circuit: $c) { nodes { circuit { prompt { text } } } } }", 2),
    ],
)  # fmt: skip
async def test_facts_of_circuits_and_features_take_no_query_of_their_own(api, circuits, query, queries):
    first, second = circuits[:2]
    node = next(node for node in first.nodes if node.kind is NodeKind.FEATURE)
    feature = first.transcoders.feature_id(node.layer, node.index)
    for name, id in (("$c", first.id), ("$d", second.id), ("$f", feature)):
        query = query.replace(name, f'"{id}"')
    before = api.database.queries
    await api(query)
    assert api.database.queries - before == queries


class Failing(AsyncDatabase):
    """A database that fails as told."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def read(self, text: str, parameters: Parameters = None, *, timeout_s: float | None = None) -> Rows:
        raise self.error


def failing(error: Exception) -> httpx2.AsyncClient:
    """A client of an API whose database fails."""
    transport = httpx2.ASGITransport(app=create_app(Failing(error)))
    return httpx2.AsyncClient(transport=transport, base_url="http://localhost")


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("/secret/path MATCH (n)"), DatabaseError("Neo4j refused: MATCH (n) /secret")]
)
async def test_unexpected_errors_say_nothing_of_the_inside(error, caplog):
    with caplog.at_level(logging.ERROR, logger="atlas.api"):
        async with failing(error) as http:
            answer = await http.post("/graphql", json={"query": "{ families { name } }"})
    body = answer.json()
    (found,) = body["errors"]
    (record,) = caplog.records
    request = record.args[0]
    assert request == answer.headers["x-request-id"]
    assert found["message"] == f"The atlas could not answer this (request {request})"
    assert found["extensions"]["code"] == (
        "DATABASE_ERROR" if isinstance(error, DatabaseError) else "INTERNAL"
    )
    assert "MATCH" not in str(body)
    assert "secret" not in str(body)
    assert "secret" in caplog.text


async def test_errors_on_a_socket_name_the_request():
    app = create_app(Failing(ZeroDivisionError("/secret")))
    scope = {
        "type": "websocket",
        "path": "/graphql",
        "raw_path": b"/graphql",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"x-request-id", b"mine-2")],
        "subprotocols": ["graphql-transport-ws"],
        "scheme": "ws",
        "server": ("atlas", 80),
        "client": ("test", 1),
    }
    subscribe = {"id": "1", "type": "subscribe", "payload": {"query": 'subscription { job(id: "x") { id } }'}}
    received, sent = asyncio.Queue[Message](), asyncio.Queue[Message]()
    received.put_nowait({"type": "websocket.connect"})
    for payload in ({"type": "connection_init"}, subscribe):
        received.put_nowait({"type": "websocket.receive", "text": json.dumps(payload)})
    socket = asyncio.create_task(app(scope, received.get, sent.put))
    answers: list[dict[str, Any]] = []
    while not answers or answers[-1]["type"] != "complete":
        message = await asyncio.wait_for(sent.get(), 10)
        if message["type"] == "websocket.send":
            answers.append(json.loads(message["bytes"]))
    received.put_nowait({"type": "websocket.disconnect", "code": 1000})
    await socket
    (error,) = answers[-2]["payload"]["errors"]
    assert error["message"] == "The atlas could not answer this (request mine-2)"


async def test_an_unreachable_database(caplog):
    async with failing(UnreachableError("No Neo4j answers", next_step="start it")) as http:
        body = (await http.post("/graphql", json={"query": "{ families { name } }"})).json()
        health = await http.get("/readyz")
    assert body["errors"][0]["message"] == "No Neo4j answers"
    assert body["errors"][0]["extensions"] == {"code": "DATABASE_UNREACHABLE", "nextStep": "start it"}
    assert (health.status_code, health.json()["nextStep"]) == (503, "start it")
    assert caplog.records == []
