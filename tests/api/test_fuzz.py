"""Questions nobody meant: made from the schema itself, and with strings that want to be Cypher.

Whatever is asked, the answer is data or an error with a name, nothing of the inside is told, and the database
holds afterwards what it held before.
"""

import gc
import hashlib
import json
from collections import defaultdict, deque
from collections.abc import Iterator
from itertools import groupby
from typing import Any, NamedTuple

import pytest
from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    build_schema,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_required_argument,
)
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis_graphql import queries
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.utils.str_converters import to_camel_case

from api.app import sdl
from api.serving.graphql_schema import graphql_schema
from schema.circuit.records import NodeKind
from tests.support.circuits import feature_id

SCHEMA = build_schema(sdl())
assert SCHEMA.query_type is not None
FIELDS = SCHEMA.query_type.fields
NAMED = {"BAD_INPUT", "OVER_LIMIT", "NOT_FOUND"}
"""What a query that fits the schema may be refused with."""
ONE_OF = ("must specify exactly one key", "must be non-null")
"""What the maker of queries does not know of the schema."""
INSIDE = (
    "MATCH",
    "RETURN",
    "UNWIND",
    "Neo.",
    "Neo4j",
    "Traceback",
    ".py",
    ".cypher",
    "site-packages",
    "/work",
)
"""What no answer says."""
EXAMPLES = 1
"""Queries made of each field: most of their time is the database's, which plans what it never saw."""
INJECTIONS = (
    "x' }) WITH 1 AS a MATCH (n) DETACH DELETE n RETURN 1 //",
    """`) SET n.owned = true // ' OR 1=1 " \\ """,
    "*/ MATCH (n) REMOVE n.id /* $p.skip ${7*7}",
    '+("a" OR *:*) AND -[* TO z] ~ ^2 \\',
    "nul\x00l ../../etc/passwd %s %n {{7*7}}",
    "\u202eabc\ufeff\U0001f9ec\U000e0041 e" + "\u0301" * 40,
)
"""None under 11 or over 100 characters: Neo4j plans a query again for every order of size of a string."""


def state(connection: Any) -> str:
    """A hash of every node, relationship and property but for the order."""
    rows = connection.read(
        """
        MATCH (n) WITH labels(n) AS kind, properties(n) AS held, elementId(n) AS id
        RETURN 'n' AS what, id, kind, held
        UNION ALL
        MATCH (a)-[r]->(b) WITH type(r) AS kind, properties(r) AS held, elementId(r) AS id
        RETURN 'r' AS what, id, [kind] AS kind, held
        """
    )
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@pytest.fixture(scope="module", autouse=True)
def unchanged(circuits, connection) -> Iterator[None]:
    """Nothing that a test of this file asks changes anything."""
    before = state(connection)
    yield
    assert state(connection) == before


async def harm(api: Any, query: str, variables: dict[str, Any] | None = None) -> str | None:
    """Asks, and says what of the answer must not be so; None: nothing."""
    response = await api.http.post("/graphql", json={"query": query, "variables": variables or {}})
    if response.status_code != 200:
        return f"{response.status_code}: {response.text}: {query}"
    errors = response.json().get("errors", [])
    if unnamed := [
        error
        for error in errors
        if error["extensions"]["code"] not in NAMED and not any(words in error["message"] for words in ONE_OF)
    ]:
        return f"{unnamed[0]}: {query}"
    # What was given may be quoted in a message: it is the caller's own.
    given = json.dumps(variables or {}) + query
    told = " ".join(error["message"] + str(error["extensions"]) for error in errors)
    leaked = [word for word in INSIDE if word in told and word not in given]
    return f"tells {leaked}: {told}: {query}" if leaked else None


async def test_any_query_that_fits_the_schema_is_answered(api):
    asked: list[str] = []
    for field in FIELDS:

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(query=queries(SCHEMA, fields=[field]))
        def collect(query: object) -> None:
            asked.append(str(query))

        collect()
    assert len(asked) == EXAMPLES * len(FIELDS)
    assert [problem for query in asked if (problem := await harm(api, query))] == []


Way = tuple[tuple[str, GraphQLField], ...]


class Place(NamedTuple):
    """A place in the arguments of a field where a caller may put a string."""

    way: Way
    """The fields from the root to this one."""
    argument: str
    keys: tuple[str, ...]
    """Into the argument's input object; empty when the argument is the string."""


def places() -> list[Place]:
    """Each argument of every field, each field by the shortest way from the root; see `in_turn`."""
    assert SCHEMA.query_type is not None
    seen = {SCHEMA.query_type.name}
    todo: deque[tuple[GraphQLObjectType, Way]] = deque([(SCHEMA.query_type, ())])
    found: list[Place] = []
    while todo:
        kind, way = todo.popleft()
        for name, field in sorted(kind.fields.items(), key=lambda each: len(needed(each[1]))):
            way_to = (*way, (name, field))
            for argument, taken in field.args.items():
                found += [Place(way_to, argument, keys) for keys in strings(taken.type)]
            to = get_named_type(field.type)
            if isinstance(to, GraphQLObjectType) and to.name not in seen:
                seen.add(to.name)
                todo.append((to, way_to))
    return in_turn(found)


def in_turn(found: list[Place]) -> list[Place]:
    """All, but for an input object that more arguments take than it has strings: of these each argument gets
    one, in turn. Every string of the object is tried, and the object in every argument.
    """
    arguments: dict[str, list[list[Place]]] = defaultdict(list)
    for (_, _), same in groupby(found, key=lambda place: (place.way, place.argument)):
        every = list(same)
        arguments[get_named_type(every[0].way[-1][1].args[every[0].argument].type).name].append(every)
    chosen: list[Place] = []
    for takers in arguments.values():
        for number, every in enumerate(takers):
            chosen += [every[number % len(every)]] if len(takers) > len(every) else every
    return chosen


def strings(kind: GraphQLInputType) -> list[tuple[str, ...]]:
    """Where in a value of this type there are strings."""
    named = get_named_type(kind)
    if isinstance(named, GraphQLInputObjectType):
        return [(name, *rest) for name, field in named.fields.items() for rest in strings(field.type)]
    return [()] if named.name in ("String", "ID") else []


def needed(field: GraphQLField) -> dict[str, GraphQLArgument]:
    """Arguments that must be given."""
    return {name: argument for name, argument in field.args.items() if is_required_argument(argument)}


def value(kind: GraphQLInputType, keys: tuple[str, ...], text: str) -> Any:
    """A value of an argument's type that has `text` at the place."""
    if isinstance(kind, GraphQLNonNull):
        return value(kind.of_type, keys, text)
    if isinstance(kind, GraphQLList):
        return [value(kind.of_type, keys, text)]
    if isinstance(kind, GraphQLInputObjectType):
        return {keys[0]: value(kind.fields[keys[0]].type, keys[1:], text)}
    return text


def leaves(kind: GraphQLObjectType) -> str:
    """A selection of all that needs no arguments and leads nowhere; {} around it, nothing for a leaf."""
    plain = [n for n, f in kind.fields.items() if is_leaf_type(get_named_type(f.type)) and not needed(f)]
    return "{ " + " ".join(plain or ["__typename"]) + " }"


def injected(place: Place, known: dict[str, Any], texts: tuple[str, ...]) -> tuple[str, dict[str, Any]]:
    """One query that asks the place's field once with each of the strings."""
    argument = place.way[-1][1].args[place.argument]
    variables: dict[str, Any] = {
        f"s{n}": value(argument.type, place.keys, text) for n, text in enumerate(texts)
    }
    declared = [f"$s{n}: {argument.type}" for n in range(len(texts))]
    start = end = ""
    for depth, (name, field) in enumerate(place.way):
        last, given = depth == len(place.way) - 1, []
        for other, wanted in needed(field).items():
            if not (last and other == place.argument):
                declared.append(f"$d{depth}_{other}: {wanted.type}")
                variables[f"d{depth}_{other}"] = known[other]
                given.append(f"{other}: $d{depth}_{other}")
        given += ["first: 1"] if "first" in field.args else []
        if not last:
            start, end = f"{start}{name}{'(' + ', '.join(given) + ')' if given else ''} {{ ", end + " }"
            continue
        to = get_named_type(field.type)
        chosen = leaves(to) if isinstance(to, GraphQLObjectType) else ""
        for n in range(len(texts)):
            start += f"a{n}: {name}({', '.join([*given, f'{place.argument}: $s{n}'])}) {chosen} "
    return f"query ({', '.join(declared)}) {{ {start}{end} }}", variables


PLACES = places()


def known_of(circuits: Any, feature: str) -> dict[str, Any]:
    """A value for each argument that must be given, by its name."""
    return {
        "features": [feature],
        "feature": feature,
        "circuit": circuits[0].id,
        "circuits": [circuits[0].id],
        "a": circuits[0].id,
        "b": circuits[1].id,
        "positive": {"families": ["capitals"]},
        "negative": {"families": ["arithmetic"]},
        "from": {"token": "capital"},
        "to": {"token": "state"},
        "text": "state",
        "family": "capitals",
        "label": "words",
        "inCircuits": {"families": ["capitals"]},
        "among": {"families": ["capitals"]},
        "state": "KEPT",
        "minSupport": 2,
    }


async def test_strings_stay_strings(api, circuits):
    features = [feature_id(circuits[0], n) for n in circuits[0].nodes if n.kind is NodeKind.FEATURE]
    feature = features[0]
    known = known_of(circuits, feature)
    assert len(PLACES) > 60
    problems = []
    for place in PLACES:
        name = place.way[0][0]
        here = known | {"id": circuits[0].id if name == "circuit" else feature}
        # One first: what is asked for the first time is planned, and many at once would each plan it.
        for texts in (INJECTIONS[:1], INJECTIONS[1:]):
            if problem := await harm(api, *injected(place, here, texts)):
                problems.append(problem)
    gc.collect()
    assert problems == []


def test_every_question_is_among_those_that_strings_are_put_in():
    assert {place.way[0][0] for place in PLACES} >= {
        name for name, field in FIELDS.items() if any(strings(each.type) for each in field.args.values())
    }


def below_lists() -> Iterator[tuple[Way, str, GraphQLField]]:
    """Each field of each type whose objects come in lists: the way to the list, and the field.

    A type is reached by the shortest way, with lists on it. A field that is a column of its row has no
    resolver of its own and is left out.
    """
    assert SCHEMA.query_type is not None
    seen: set[str] = set()
    todo: deque[tuple[GraphQLObjectType, Way, bool]] = deque([(SCHEMA.query_type, (), False)])
    while todo:
        kind, way, listed = todo.popleft()
        for name, field in sorted(kind.fields.items(), key=lambda each: len(needed(each[1]))):
            to = get_named_type(field.type)
            if listed and (kind.name, name) in RESOLVED:
                yield way, name, field
            inside = listed or isinstance(get_nullable_type(field.type), GraphQLList)
            if isinstance(to, GraphQLObjectType) and f"{to.name} {inside}" not in seen:
                seen.add(f"{to.name} {inside}")
                todo.append((to, (*way, (name, field)), inside))


RESOLVED = {
    (kind.definition.name, field.graphql_name or to_camel_case(field.python_name))
    for kind in graphql_schema().schema_converter.type_map.values()
    if isinstance(kind.definition, StrawberryObjectDefinition)
    for field in kind.definition.fields
    if field.base_resolver is not None
}
"""Type and name of every field that has a resolver."""


async def test_every_field_below_every_list_can_be_asked_for_alone(api, circuits):
    """Of an object in a list no more is read than the query names, so a resolver must say what it is made
    of."""
    feature = feature_id(circuits[0], next(n for n in circuits[0].nodes if n.kind is NodeKind.FEATURE))
    known = known_of(circuits, feature)
    problems: list[str] = []
    asked: set[tuple[str, str]] = set()
    for way, name, field in below_lists():
        place = Place((*way, (name, field)), "", ())
        query, variables = asked_alone(place, known | {"id": feature})
        asked.add((get_named_type(way[-1][1].type).name, name))
        if problem := await harm(api, query, variables):
            problems.append(problem)
    assert asked == {each for each in RESOLVED if each[0] in types_below_lists()}
    assert problems == []


def types_below_lists() -> set[str]:
    """The object types that lists hold, and those inside them, in rounds until none is new."""
    within = {
        name: [field.type for field in kind.fields.values()]
        for name, kind in SCHEMA.type_map.items()
        if isinstance(kind, GraphQLObjectType) and name not in ("Mutation", "Subscription")
    }
    known = {"Query"}
    below: set[str] = set()
    before = -1
    while before != len(known) + len(below):
        before = len(known) + len(below)
        for name in [*known]:
            for type_ in within[name]:
                to = get_named_type(type_).name
                if to in within:
                    known.add(to)
                    if name in below or isinstance(get_nullable_type(type_), GraphQLList):
                        below.add(to)
    return below


def asked_alone(place: Place, known: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """A query for the last field of a way, and for nothing beside it."""
    variables: dict[str, Any] = {}
    declared, start, end = [], "", ""
    for depth, (name, field) in enumerate(place.way):
        given = ["first: 3"] if "first" in field.args else []
        for argument, wanted in needed(field).items():
            declared.append(f"$d{depth}_{argument}: {wanted.type}")
            variables[f"d{depth}_{argument}"] = known[argument]
            given.append(f"{argument}: $d{depth}_{argument}")
        start += name + (f"({', '.join(given)})" if given else "")
        to = get_named_type(field.type)
        if depth < len(place.way) - 1:
            start, end = start + " { ", end + " }"
        elif isinstance(to, GraphQLObjectType):
            start += leaves(to)
    head = f"query ({', '.join(declared)}) " if declared else ""
    return f"{head}{{ {start}{end} }}", variables
