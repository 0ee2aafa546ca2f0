"""Bodies and messages that no client should send: each is refused with a reason, and none is a fault
inside."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.api import Api
from tests.support.sockets import Socket

JSON = {"content-type": "application/json"}
REQUEST: dict[str, Any] = {
    "query": "{ families { name } }",
    "variables": {},
    "operationName": None,
    "extensions": {},
}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
QUICK = settings(
    max_examples=40,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def drawn(strategy: st.SearchStrategy[Any]) -> list[Any]:
    """Examples of a strategy, the same in each run."""
    found: list[Any] = []

    @QUICK
    @given(strategy)
    def collect(value: Any) -> None:
        found.append(value)

    collect()
    return found


def one_other(value: dict[str, Any]) -> st.SearchStrategy[Any]:
    """The value with one entry replaced by anything, or anything at all."""
    return VALUES | st.builds(
        lambda name, other: {**value, name: other}, st.sampled_from(sorted(value)), VALUES
    )


KINDS: list[Any] = [None, True, 0, -1, 2**70, 1.5, "", "zz", "\x00", [], ["x"], {}, {"a": {"b": [1]}}]


def each_other(value: dict[str, Any]) -> list[dict[str, Any]]:
    """The value with each entry, in turn, replaced by a value of each kind, or left out."""
    found = [{**value, name: other} for name in value for other in KINDS]
    return found + [{key: each for key, each in value.items() if key != name} for name in value]


async def harm(api: Api, **given: Any) -> str | None:
    """Posts, and says what of the answer must not be so; None: nothing."""
    response = await api.http.post("/graphql", **given)
    codes = [error["extensions"]["code"] for error in response.json().get("errors", [])]
    bad = response.status_code not in (200, 400) or {"INTERNAL", "DATABASE_ERROR"} & set(codes)
    return f"{response.status_code} {codes}: {given}" if bad else None


async def test_any_body_is_answered_or_refused(api):
    bodies = [json.dumps(each).encode() for each in [*drawn(one_other(REQUEST)), *each_other(REQUEST)]]
    bodies += [b"null", b"1", b'"x"', b"[]", b"", b"{", b"\xff", b'{"query": 1e999}', b"[" * 100_000]
    bodies += [json.dumps({**REQUEST, "variables": value}).encode() for value in ([], [1], "x", 1, True)]
    found = [await harm(api, content=body, headers=JSON) for body in bodies]
    assert [each for each in found if each] == []


@pytest.mark.parametrize("sent", ["APPLICATION/JSON", "Application/Json; Charset=UTF-8", "application/json"])
async def test_media_types_are_written_in_any_case(api, sent):
    answer = await api.http.post("/graphql", json=REQUEST, headers={"content-type": sent})
    assert "errors" not in answer.json()


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ('subscription { job(id: "x") { id } }', {}),
        ("{ circuits(first: " + "9" * 5000 + ") { totalCount } }", {}),
        ("{ circuits(first: " + "9" * 30 + ") { totalCount } }", {}),
        ("query ($n: Int = " + "9" * 5000 + ") { circuits(first: $n) { totalCount } }", {}),
        ("{ circuit(id: " + "9" * 5000 + ") { id } }", {}),
        ("query ($n: Int) { circuits(first: $n) { totalCount } }", {"n": 10**30}),
        ("query ($n: Int) { circuits(first: $n) { totalCount } }", {"n": [1]}),
        ("{ circuits { nodes { graph { sources } } } }", {}),
        ("", {}),
        ("fragment f on Circuit { id }", {}),
        ("type Query { a: Int }", {}),
    ],
)
async def test_odd_queries_are_no_fault_inside(api, query, variables):
    assert await harm(api, json={"query": query, "variables": variables}) is None


SUBSCRIBE: dict[str, Any] = {
    "id": "1",
    "type": "subscribe",
    "payload": {"query": 'subscription { job(id: "x") { id } }'},
}


async def test_any_message_is_answered_or_ends_its_socket_with_a_reason(api):
    messages = [[1], None, "x", 1, {"type": ["subscribe"]}, {"type": "subscribe", "id": [1], "payload": {}}]
    messages += [*drawn(one_other(SUBSCRIBE)), *each_other(SUBSCRIBE)]
    for query in (
        SUBSCRIBE["payload"]["query"],
        "{ families { name } }",
        'subscription a { job(id: "x") { id } }',
    ):
        payload: dict[str, Any] = {"query": query, "variables": {}, "operationName": None, "extensions": {}}
        messages += [SUBSCRIBE | {"payload": each} for each in each_other(payload)]
    messages += [SUBSCRIBE | {"payload": each} for each in drawn(one_other(payload))]
    for message in messages:
        socket = Socket(api)
        socket.say({"type": "connection_init"})
        socket.say(message)
        await asyncio.sleep(0)
        socket.leave()
        sent = await socket.answers()
        assert "INTERNAL" not in str(sent), message
        assert all(each.get("code", 1000) in (1000, 4400, 4401, 4409) for each in sent), (message, sent)
