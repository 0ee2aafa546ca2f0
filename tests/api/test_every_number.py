"""Every number of the API, asked of three atlases: their influence is known, derived, or unknown.

All three hold the same graphs under the same ids. Therefore

1. derived answers equal known ones, field by field; the tests of each question check known ones slowly
2. an unknown atlas says nothing that a known one does not say: a value is null or one of the known values, so
   that no sum over nothing passes for a 0
"""

import math
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from functools import cache
from typing import Any

import pytest
from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLObjectType,
    GraphQLScalarType,
    Undefined,
    get_named_type,
    is_non_null_type,
)

from api.request.limits import Limits
from api.serving.graphql_schema import graphql_schema
from atlas.local.server import Address
from schema.annotations.modules import ModuleSettings, compute
from schema.circuit.derived import derive
from schema.circuit.records import Circuit, Derived, NodeKind
from schema.database import AsyncDatabase, Database
from schema.loading.load import load_circuit
from schema.upkeep.check import check
from tests.support.api import Api
from tests.support.circuits import RUN, feature_id, synthetic_circuits
from tests.support.derived_circuits import known, unknown

PLENTY = 10**9
LIMITS = Limits(
    depth=40,
    fields=PLENTY,
    aliases=PLENTY,
    document=PLENTY,
    body=PLENTY,
    rows=PLENTY,
    cost=PLENTY,
    database_ms=PLENTY,
    timeout_s=120,
)
LEVELS = 5
"""Levels of objects below a root field."""
SHALLOW = {"Circuit", "Feature", "CircuitNode", "Prompt", "Model", "Run"}
"""Types of which only their own numbers are asked below other objects: root fields ask for the rest."""
LEFT_OUT = {"job", "compareCheckpoints", "supernodeHistory", "nearestFeatures"}
"""Root fields that need something that these atlases do not hold."""
OF_KNOWLEDGE = {
    "nUntrusted", "unknownInfluence", "nDerived", "nKnown", "nConsidered", "errorShareLow", "errorShareHigh",
    "totalCount",
}  # fmt: skip
"""Numbers that say how much is known: they differ between the atlases, as they must."""


def numbers(made: list[Circuit]) -> dict[str, str]:
    """Root field → its arguments."""
    first, second = made[0], made[3]
    feature = next(feature_id(first, node) for node in first.nodes if node.kind is NodeKind.FEATURE)
    return {
        "contrast": 'positive: {families: ["capitals"]}, negative: {families: ["arithmetic"]}',
        "paths": f'from: {{feature: "{feature}"}}, to: {{logit: "something else"}}, inCircuits: {{}}',
        "similarLabels": 'text: "token"',
        "similarCircuits": f'circuit: "{first.id}"',
        "motifs": "minSupport: 2",
        "drivesLogit": 'tokens: ["something else"]',
        "search": 'text: "token"',
        "tokensOfFamily": 'family: "capitals"',
        "presence": f'features: ["{feature}"]',
        "circuit": f'id: "{first.id}"',
        "feature": f'id: "{feature}"',
        "circuitsSharing": f'features: ["{feature}"], mode: ANY',
        "compareCircuits": f'a: "{first.id}", b: "{second.id}"',
        "sharedFeatures": "minCircuits: 1",
        "features": "minCircuits: 1",
        "errorAudit": "maxErrorShare: 0.0",
    }


GIVEN = {("FeaturePresence", "nCircuits"): "state: KEPT", ("FeaturePresence", "circuits"): "state: KEPT"}


@cache
def fields_of(kind: str) -> dict[str, GraphQLField]:
    made = graphql_schema()._schema.type_map[kind]
    assert isinstance(made, GraphQLObjectType)
    return made.fields


def required(arguments: dict[str, GraphQLArgument]) -> list[str]:
    return [
        name
        for name, each in arguments.items()
        if is_non_null_type(each.type) and each.default_value is Undefined
    ]


def selection(kind: str, path: tuple[str, ...], level: int, asked: set[tuple[str, str]]) -> str:
    """Everything with a number in it below an object; empty when there is nothing."""
    parts, fields = [], fields_of(kind)
    for name, field in fields.items():
        inner = get_named_type(field.type)
        given = GIVEN.get((kind, name), "")
        if (required(field.args) and not given) or (name == "edges" and "pageInfo" in fields):
            continue
        words = ", ".join([given] * bool(given) + ["first: 100"] * ("first" in field.args))
        call = name + (f"({words})" if words else "")
        if isinstance(inner, GraphQLScalarType):
            if inner.name in ("Int", "Float"):
                asked.add((kind, name))
                parts.append(call)
        elif isinstance(inner, GraphQLObjectType) and inner.name not in path and level < LEVELS:
            if kind in SHALLOW and level > 0:
                continue
            if below := selection(inner.name, (*path, inner.name), level + 1, asked):
                parts.append(f"{call} {{ {below} }}")
    return " ".join(parts)


def questions(made: list[Circuit], asked: set[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Name and text of a query for each root field, once more for each order by influence."""
    given = numbers(made)
    for name, field in fields_of("Query").items():
        if name in LEFT_OUT:
            continue
        kind = get_named_type(field.type).name
        below = selection(kind, (kind,), 0, asked)
        orders = [
            f"{argument}: {value}"
            for argument, each in field.args.items()
            for inner in [get_named_type(each.type)]
            if isinstance(inner, GraphQLEnumType)
            for value in ("INFLUENCE", "COSINE")
            if value in inner.values
        ]
        for order in ["", *orders]:
            words = [each for each in (given.get(name), order) if each]
            words += ["first: 100"] * ("first" in field.args)
            call = f"{name}({', '.join(words)})" if words else name
            yield f"{name} {order}".strip(), f"{{ {call} {{ {below} }} }}"


@pytest.fixture(scope="module")
def graphs() -> list[Circuit]:
    return [known(circuit) for circuit in synthetic_circuits(8, seed=11)]


@pytest.fixture
async def ask(server: Address, connection: Database, graphs: list[Circuit]) -> AsyncIterator[Any]:
    """Loads circuits into an empty database, and asks every question of it."""
    database = await AsyncDatabase.connect(server.bolt_uri, server.user, server.password)

    async def answers(circuits: list[Circuit]) -> dict[str, Any]:
        connection.write("MATCH (n) WHERE NOT n:Migration DETACH DELETE n")
        for circuit in circuits:
            load_circuit(connection, circuit, RUN)
        connection.wait_for_full_text()
        assert list(check(connection)) == []
        compute(connection, ModuleSettings(min_circuits=1, n_null=0))
        api = Api(database, LIMITS)
        return {name: await api(query) for name, query in questions(graphs, set())}

    yield answers
    connection.write("MATCH (n) WHERE NOT n:Migration DETACH DELETE n")
    await database.close()


def values(answer: Any, path: str = "") -> Iterator[tuple[str, float | None]]:
    """Every number, with the names of the fields on the way to it."""
    if isinstance(answer, dict):
        for name, each in answer.items():
            yield from values(each, f"{path}.{name}")
    elif isinstance(answer, list):
        for each in answer:
            yield from values(each, path)
    else:
        yield path.lstrip("."), answer


def differences(a: Any, b: Any, path: str = "") -> Iterator[str]:
    """Where two answers differ, apart from what they say of how much is known."""
    if isinstance(a, dict) and isinstance(b, dict):
        for name in a:
            if name not in OF_KNOWLEDGE - {"totalCount"}:
                yield from differences(a[name], b[name], f"{path}.{name}")
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for place, (x, y) in enumerate(zip(a, b, strict=True)):
            yield from differences(x, y, f"{path}[{place}]")
    elif isinstance(a, float) and isinstance(b, int | float):
        if not math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9):
            yield f"{path}: {a} and {b}"
    elif a != b:
        yield f"{path}: {a} and {b}"


def pruned_inputs(answer: Any) -> Any:
    """Takes out what flowStages says of pruned inputs, which nothing is derived about."""
    return [stage["inputs"].pop() for stage in answer["flowStages"]["flowStages"]["stages"]]


async def test_every_number_is_known_derived_or_null(ask: Any, graphs: list[Circuit]) -> None:
    nothing = [unknown(circuit, cumulative=False) for circuit in graphs]
    derived = [derive(unknown(circuit)) for circuit in graphs]
    assert all(set(circuit.derived) == set(Derived) for circuit in derived)
    of_known: dict[str, Any] = await ask(graphs)
    of_derived: dict[str, Any] = await ask(derived)
    of_nothing: dict[str, Any] = await ask(nothing)
    assert [each["influence"] for each in pruned_inputs(of_derived)] == [None] * 4
    assert all(abs(each["influence"]) < 1e-9 for each in pruned_inputs(of_known))
    for name in of_known:
        assert list(differences(of_known[name], of_derived[name])) == [], name

    dependent = set()
    for name in of_known:
        said: dict[str, list[float | None]] = {}
        for path, value in values(of_known[name]):
            said.setdefault(path, []).append(value)
        found: dict[str, list[float | None]] = {}
        for path, value in values(of_nothing[name]):
            found.setdefault(path, []).append(value)
        for path, given in found.items():
            if path.rsplit(".", 1)[1] in OF_KNOWLEDGE:
                continue
            there = Counter(round(x, 9) for x in said.get(path, []) if x is not None)
            more = Counter(round(x, 9) for x in given if x is not None) - there
            if "auroc" in path or "lift" in path:
                continue  # of who has a feature: circuits of unknown influence rank above those without it
            assert not more, f"{name}: {path} says {more} where influence is unknown"
            if set(given) == {None} and any(x is not None for x in said.get(path, [])):
                dependent.add(path.rsplit(".", 1)[1])
    # What the test is about was there: these are null where influence is unknown, and only there.
    assert dependent >= {
        "influence", "meanInfluence", "influenceA", "influenceB", "difference", "similarity", "share",
        "replacementScore", "completenessScore", "errorShare", "meanPositive", "mean", "greatest",
        "cumulative",
    }  # fmt: skip
    # Orders by influence say that they have to do without it.
    for name, answer in of_nothing.items():
        ordered = ("circuitsSharing", "compareCircuits", "contrast")
        if "INFLUENCE" in name or "COSINE" in name or name in ordered:
            without = [x for path, x in values(answer) if path.endswith("unknownInfluence") and x is not None]
            assert sum(without) > 0, name
    for answer in (*of_known.values(), *of_derived.values()):
        counted = [x for path, x in values(answer) if path.endswith("unknownInfluence") and x is not None]
        if not any("circuits.unknownInfluence" in path for path, _ in values(answer)):
            assert sum(counted) == 0


def test_every_number_of_the_schema_is_asked(graphs: list[Circuit]) -> None:
    asked: set[tuple[str, str]] = set()
    assert list(questions(graphs, asked))
    reachable, left = set(), ["Query"]
    while left:
        kind = left.pop()
        reachable.add(kind)
        for name, field in fields_of(kind).items():
            inner = get_named_type(field.type)
            if (
                not (kind == "Query" and name in LEFT_OUT)
                and isinstance(inner, GraphQLObjectType)
                and inner.name not in reachable
            ):
                left.append(inner.name)
    every = {
        (kind, name)
        for kind in reachable
        for name, field in fields_of(kind).items()
        if isinstance(get_named_type(field.type), GraphQLScalarType)
        and get_named_type(field.type).name in ("Int", "Float")
        and kind != "Query"
    }
    assert sorted(every - asked) == []
