"""Pages that travel with what they belong to: the same answers, whatever the query around them looks like."""

import asyncio

import pytest
from graphql import GraphQLObjectType, get_named_type

from api.request import batching
from api.request.batching import Loaders
from api.request.concurrency import Shares
from api.request.limits import Limits
from api.request.metrics import Metrics
from api.serving.graphql_schema import graphql_schema
from schema.circuit.records import NodeKind
from schema.database import AsyncDatabase, Parameters, Rows
from schema.questions.graph import EDGES_OF_CIRCUIT

USES = (
    "{ totalCount pageInfo { endCursor hasNextPage } nodes { influence positions feature { id nCircuits } } }"
)


@pytest.fixture
async def pages(api, circuits):
    """The first and the second page of a circuit's features, asked of a list: nothing is ahead there."""
    found = {}
    query = "query ($after: String) { circuits(first: 100) { nodes { id features(first: 2, after: $after) "
    after = None
    for place in ("first", "second"):
        data = await api(query + USES + " } } }", after=after)
        (found[place],) = [
            each["features"] for each in data["circuits"]["nodes"] if each["id"] == circuits[0].id
        ]
        after = found[place]["pageInfo"]["endCursor"]
    return found


@pytest.mark.parametrize(
    ("fields", "queries"),
    [
        ("one: features(first: 2) USES", 1),
        ("one: features(first: $n) USES", 1),
        ("one: features(first: 2) USES two: features(first: 2, after: $after) USES", 2),
        ("two: features(first: 2, after: $after) USES", 1),
        ("one: features(first: 2) @include(if: true) USES", 2),
        ("... on Circuit { one: features(first: 2) USES }", 2),
        ("two: features(first: 2, after: $after) @skip(if: true) USES one: features(first: 2) USES", 1),
        ("nodes(first: 1) { totalCount } one: features(first: 2) USES", 2),
    ],
)
async def test_pages_are_the_same_ahead(api, circuits, pages, fields, queries):
    before = api.database.queries
    given = "".join(each for each in (", $n: Int", ", $after: String") if each[2:].split(":")[0] in fields)
    data = await api(
        f"query ($id: ID!{given}) {{ circuit(id: $id) {{ id {fields.replace('USES', USES)} }} }}",
        id=circuits[0].id,
        n=2,
        after=pages["first"]["pageInfo"]["endCursor"],
    )
    assert api.database.queries - before == queries
    data["circuit"].pop("nodes", None)
    names = {"one": "first", "two": "second"}
    wanted = {name: pages[page] for name, page in names.items() if name in data["circuit"]}
    assert data == {"circuit": {"id": circuits[0].id, **wanted}}
    assert len(data["circuit"]) > 1


async def test_pages_of_several_travel_together(api, circuits):
    ids = [circuit.id for circuit in circuits[:6]]
    alone = {f"c{n}": (await api(f'{{ circuit(id: "{each}") {{ id answer features {USES} }} }}'))["circuit"]
             for n, each in enumerate(ids)}  # fmt: skip
    before = api.database.queries
    fields = " ".join(
        f'c{n}: circuit(id: "{each}") {{ id answer features {USES} }}' for n, each in enumerate(ids)
    )
    assert await api(f"{{ {fields} }}") == alone
    assert api.database.queries - before == 1


async def test_what_is_not_there_is_null_with_a_page_ahead(api):
    assert await api('{ circuit(id: "none") { features { totalCount } } }') == {"circuit": None}
    assert await api('{ feature(id: "none") { drives { totalCount } } }') == {"feature": None}


@pytest.mark.parametrize(
    ("page", "code"),
    [
        ("circuits(first: 0)", "BAD_INPUT"),
        ('circuits(after: "x")', "BAD_INPUT"),
        ("circuits(first: 101)", "OVER_LIMIT"),
    ],
)
async def test_a_page_that_cannot_be_is_refused_where_it_is_asked(api, circuits, page, code):
    node = next(node for node in circuits[0].nodes if node.kind is NodeKind.FEATURE)
    feature = circuits[0].transcoders.feature_id(node.layer, node.index)
    body = await api.answer(f'{{ feature(id: "{feature}") {{ {page} {{ totalCount }} }} }}')
    (error,) = body["errors"]
    assert error["extensions"]["code"] == code
    assert error["path"] == ["feature", "circuits"]


async def test_nodes_travel_with_the_effects_between_them(api, circuits):
    before = api.database.queries
    edges = "edges(first: 9) { nodes { weight source { id } target { id } } }"
    data = await api("{ circuits(first: 100) { nodes { " + edges + " } } }")
    assert api.database.queries - before == 2
    assert all(circuit["edges"]["nodes"] for circuit in data["circuits"]["nodes"])


async def test_the_event_loop_turns_to_others_while_a_long_answer_is_read(api, circuits, monkeypatch):
    monkeypatch.setattr(batching, "SLICE_S", 0)
    share = Shares(Limits(), Metrics()).of("client")
    rounds, answered = 0, 0

    class Noted(AsyncDatabase):
        async def read(
            self, text: str, parameters: Parameters = None, *, timeout_s: float | None = None
        ) -> Rows:
            nonlocal answered
            found = await super().read(text, parameters, timeout_s=timeout_s)
            answered = rounds
            return found

    async def others():
        nonlocal rounds
        while True:
            rounds += 1
            await asyncio.sleep(0)

    database = Noted(api.database._driver, api.database.uri)
    beside = asyncio.create_task(others())
    keys = [circuit.id for circuit in circuits]
    pages = await Loaders(database, Limits(), Metrics(), share).ask(
        EDGES_OF_CIRCUIT, keys=keys, source_kind=None, target_kind=None, skip=0, limit=100
    )
    beside.cancel()
    assert len(pages) == len(keys)
    assert rounds - answered >= len(keys)


def plain_fields(kind: str) -> list[str]:
    """The fields of a type that can be asked for by their name alone."""
    made = graphql_schema()._schema.type_map[kind]
    assert isinstance(made, GraphQLObjectType)
    return [
        name
        for name, field in made.fields.items()
        if not field.args and not isinstance(get_named_type(field.type), GraphQLObjectType)
    ]


@pytest.mark.parametrize(
    ("kind", "where"),
    [
        ("Circuit", "circuits { nodes { FIELDS } }"),
        ("Circuit", "feature(id: $id) { circuits { nodes { circuit { FIELDS } } } }"),
        ("Prompt", "circuits { nodes { prompt { FIELDS } } }"),
        ("Prompt", "feature(id: $id) { circuits { nodes { circuit { prompt { FIELDS } } } } }"),
        ("Run", "circuits { nodes { run { FIELDS } } }"),
        ("TranscoderSet", "circuits { nodes { transcoders { FIELDS } } }"),
        ("Feature", "circuit(id: $c) { features { nodes { feature { FIELDS } } } }"),
        ("Feature", "circuit(id: $c) { nodes { nodes { feature { FIELDS } } } }"),
        ("TranscoderSet", "circuit(id: $c) { features { nodes { feature { transcoders { FIELDS } } } } }"),
    ],
)
async def test_a_field_asked_alone_is_what_it_is_among_all(api, circuits, kind, where):
    """Of facts no more travels than the query names."""
    node = next(node for node in circuits[0].nodes if node.kind is NodeKind.FEATURE)
    feature = circuits[0].transcoders.feature_id(node.layer, node.index)
    where = where.replace("$id", f'"{feature}"').replace("$c", f'"{circuits[0].id}"')
    fields = plain_fields(kind)
    assert len(fields) > 2

    async def ask(names: list[str]) -> list[dict[str, object]]:
        return found(await api("{ " + where.replace("FIELDS", " ".join(names)) + " }"), set(names))

    whole = await ask(fields)
    assert whole
    for name in fields:
        assert await ask([name]) == [{name: each[name]} for each in whole], name


def found(value: object, names: set[str]) -> list[dict[str, object]]:
    """The objects in an answer that have these fields and no others, in its order."""
    if isinstance(value, dict):
        if value.keys() == names:
            return [value]
        value = list(value.values())
    return [each for part in value for each in found(part, names)] if isinstance(value, list) else []
