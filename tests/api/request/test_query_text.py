"""Query texts that take long to validate are refused before, and new texts leave the event loop free."""

import asyncio
from typing import Any

import pytest
from graphql import GraphQLError, parse

from api.request import query_text
from api.request.limits import Limits
from api.request.query_size import check_size
from api.request.query_text import KEPT_CHARACTERS, MESSAGE_LENGTH, MOST_ERRORS, _prepare
from schema.errors import LimitError


def chain(links: int, uses: int) -> str:
    """Fragments that each use the next one several times."""
    return "".join(
        f" fragment f{n} on Circuit {{ {f'...f{n + 1} ' * uses if n < links - 1 else 'id '} }}"
        for n in range(links)
    )


COSTLY = {
    "one field, many times": "{ circuits { nodes { " + "id " * 980 + "} } }",
    "fields with fields, many times": "{" + "circuits { nodes { prompt { id } } } " * 200 + "}",
    "one field on every level": "{ circuits { " + "nodes { prompt { id " * 40 + "} } " * 40 + "} }",
    "in inline fragments": "{ circuits { nodes { " + "... on Circuit { id } " * 300 + "} } }",
    "in a fragment used often": "{ circuits { nodes { "
    + "...f " * 300
    + "} } } fragment f on Circuit { id }",
    "in fragments that differ": "{ circuits { nodes { "
    + "".join(f"...f{n} " for n in range(300))
    + "} } }"
    + "".join(f" fragment f{n} on Circuit {{ id }}" for n in range(300)),
    "fragments that double": "{ circuits { nodes { ...f0 } } }" + chain(40, 2),
    "fragments in a row": "{ circuits { nodes { ...f0 } } }" + chain(380, 1),
    "a shorter row of fragments": "{ circuits { nodes { ...f0 } } }" + chain(80, 1),
    "inline fragments in each other": "{ circuits { nodes { "
    + "... on Circuit { " * 80
    + "id"
    + " }" * 82
    + "}",
    "types of lists": "query ($v: " + "[" * 150 + "Int" + "]" * 150 + ") { families { name } }",
    "operations that use one chain": "".join(
        f"query q{n} {{ circuits {{ nodes {{ ...f0 }} }} }} " for n in range(300)
    )
    + chain(100, 1),
    "names and signs": "{ circuits(filter: { families: [" + "1 " * 5000 + "] }) { totalCount } }",
    "aliases": "{" + "".join(f'a{n}: circuit(id: "x") {{ id }} ' for n in range(31)) + "}",
}


@pytest.mark.parametrize("kind", COSTLY)
async def test_texts_that_take_long_to_validate_are_refused(api, kind):
    assert len(COSTLY[kind]) <= Limits().document
    assert (await api.error(COSTLY[kind]))[0] == "OVER_LIMIT"


@pytest.mark.parametrize(
    ("query", "pairs"),
    [
        ("{ a b c }", 0),
        ("{ a a a }", 3),
        ("{ x: a x: a y: a }", 1),
        ("{ a { b } a { b } a { c } }", 3 + 1),
        ("{ a ...f ... on Query { a } } fragment f on Query { a b }", 3),
        ("query one { a a } query two { a a a }", 1 + 3),
    ],
)
def test_pairs_of_fields_with_one_name_in_one_place(query, pairs):
    check_size(parse(query), Limits(pairs=pairs))
    if pairs:
        with pytest.raises(GraphQLError, match=f"again in {pairs} pairs") as caught:
            check_size(parse(query), Limits(pairs=pairs - 1))
        assert isinstance(caught.value.original_error, LimitError)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("{ ...g }", "Unknown fragment 'g'."),
        ("{ circuits { nodes { ...f } } } fragment f on Circuit { id ...f }", "within itself"),
        ("{ __typename } fragment f on Circuit { id }", "Fragment 'f' is never used."),
        ("query a { __typename } query a { __typename }", "only one operation named 'a'"),
    ],
)
async def test_what_cannot_be_measured_is_refused(api, query, says):
    code, message, _ = await api.error(query)
    assert (code, says in message) == ("BAD_QUERY", True)


async def test_many_values_in_variables_are_refused(api):
    query = "query ($ids: [ID!]!) { circuitsSharing(features: $ids) { totalCount } }"
    assert (await api.error(query, ids=["x"] * 20_001))[0] == "OVER_LIMIT"
    assert (await api.error(query, ids=[{"a": ["x"] * 100}] * 200))[0] == "OVER_LIMIT"


@pytest.mark.parametrize(
    "query",
    [
        "{ __schema { queryType { name } } families { name } }",
        '{ families { name } ...f } fragment f on Query { __type(name: "Circuit") { name } }',
    ],
)
async def test_questions_about_the_schema_stand_alone(api, query):
    assert (await api.error(query))[0] == "BAD_QUERY"


async def test_an_equal_text_is_refused_again(api):
    for _ in range(2):
        assert (await api.error("{ nothing }"))[0] == "BAD_QUERY"
        assert (await api.error(COSTLY["aliases"]))[0] == "OVER_LIMIT"


LOUD = {
    "keys of an object": "{ contrast(positive: {"
    + " ".join(f"k{n}: 1" for n in range(1200))
    + "}) { totalCount } }",
    "keys of nested objects": "{ circuits(filter: " + "{a: " * 50 + "1" + "}" * 50 + ") { totalCount } }",
    "a long value": '{ circuits(first: "' + "a" * 15_000 + '") { totalCount } }',
    "values of a list": "{ circuits(filter: {families: [" + "1 " * 3500 + "]}) { totalCount } }",
    "arguments": "{ circuits(" + " ".join(f"a{n}: 1" for n in range(1300)) + ") { totalCount } }",
    "fields": "{" + " ".join("circuitsSharin" + str(n) for n in range(900)) + "}",
    "long fields": "{" + " ".join("a" * 150 + str(n) for n in range(120)) + "}",
    "types": "query (" + " ".join(f"$a{n}: Foo{n}" for n in range(900)) + ") { families { name } }",
    "variables": "{ circuitsSharing(features: ["
    + " ".join(f"$a{n}" for n in range(1500))
    + "]) { totalCount } }",
    "directives": "{ families { name " + " ".join(f"@a{n}" for n in range(1300)) + " } }",
}
"""Within every limit, with many mistakes, or with one that quotes much."""


@pytest.mark.parametrize("kind", LOUD)
async def test_a_text_of_many_mistakes_gets_a_short_answer_that_names_the_first(api, kind):
    """The time of a mistake grows with what it quotes: an object is quoted by each of its unknown keys."""
    errors = (await api.answer(LOUD[kind]))["errors"]
    assert len(errors) <= MOST_ERRORS + 1
    assert max(len(error["message"]) for error in errors) <= MESSAGE_LENGTH + 2
    assert {error["extensions"]["code"] for error in errors} == {"BAD_QUERY"}


async def test_texts_with_mistakes_do_not_drive_out_valid_ones(api, monkeypatch):
    read: list[str] = []

    def reading(text: str, *given: Any) -> Any:
        read.append(text)
        return _prepare(text, *given)

    monkeypatch.setattr(query_text, "_prepare", reading)
    valid = "{ families { name } } # valid"
    await api(valid)
    for n in range(KEPT_CHARACTERS // 15_000 + 2):
        await api.answer(LOUD["a long value"] + f" # {n}")
    await api(valid)
    assert read.count(valid) == 1


@pytest.mark.parametrize("name", ["c", ""])
async def test_an_operation_that_is_not_there_is_named(api, name):
    text = "query a { families { name } } query b { families { name } }"
    response = await api.http.post("/graphql", json={"query": text, "operationName": name})
    (error,) = response.json()["errors"]
    assert error["extensions"]["code"] == "BAD_QUERY"
    assert error["message"] == f"The query has no operation named '{name}'."


UNKNOWN = "{" + " ".join(f"circuits{n}" for n in range(900)) + "}"
"""Within every limit. Each field is unknown, and the names of the schema are compared with it."""
SCHEMA = (
    "{ ...f __typename } fragment f on Query { __schema { types { name fields { name args { name } } } } }"
)


@pytest.mark.parametrize("query", [UNKNOWN, SCHEMA])
async def test_long_work_without_the_database_leaves_the_event_loop_free(api, query):
    rounds, over = 0, asyncio.Event()

    async def others() -> None:
        nonlocal rounds
        while not over.is_set():
            rounds += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    body = await api.answer(query)
    over.set()
    await beside
    assert {error["extensions"]["code"] for error in body.get("errors", [])} <= {"BAD_QUERY"}
    # Without a thread, there are about ten rounds.
    assert rounds > 200
