"""Many circuits, grouped in several ways: `supernodes` and `contrast` are of one way, as the records say."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from schema.annotations.supernodes import NodeGroup, group
from schema.circuit.records import Circuit, NodeKind, Supernode
from schema.database import AsyncDatabase, Database
from schema.loading.load import load_circuit
from tests.support.api import Api
from tests.support.circuits import RUN, synthetic_circuits
from tests.support.servers import empty

PERSON = "person"


def regrouped(circuit: Circuit, number: int) -> Circuit:
    """The same features in several ways: "plain" in all circuits, "scored" in most, viewers' in a few."""
    features = [place for place, node in enumerate(circuit.nodes) if node.kind is NodeKind.FEATURE]
    made = [Supernode(f"say part {n}", None, tuple(features[n::3]), "plain", "atlas") for n in range(3)]
    if number % 4:
        made += [
            Supernode(f"say part {n}", None, tuple(features[n : 8 + number : 2]), "scored", "atlas", 0.1 * n)
            for n in range(2)
        ]
    made += [
        Supernode("say seen", None, tuple(features[:k]), "viewer", author)
        for k, author in ((2, "dan"), (5, "eve"))
        if number % 5 == k % 3
    ]
    return replace(circuit, supernodes=tuple(made))


CIRCUITS = [regrouped(circuit, number) for number, circuit in enumerate(synthetic_circuits(24, seed=7))]
PEOPLE = {2: ("ada", "say part 0"), 3: ("bob", "say mine"), 9: ("ada", "say mine")}
"""Number of a circuit → who grouped its first three features, and as what."""


def supernodes_of(circuit: Circuit) -> list[Supernode]:
    found = list(circuit.supernodes)
    number = CIRCUITS.index(circuit)
    if number in PEOPLE:
        author, label = PEOPLE[number]
        features = [place for place, node in enumerate(circuit.nodes) if node.kind is NodeKind.FEATURE]
        found.append(Supernode(label, None, tuple(features[:3]), PERSON, author))
    return found


@pytest.fixture(scope="module")
def grouped(connection: Database) -> None:
    empty(connection)
    for number, circuit in enumerate(CIRCUITS):
        load_circuit(connection, circuit, RUN)
        if number in PEOPLE:
            mine = supernodes_of(circuit)[-1]
            nodes = tuple(f"{circuit.id}/{circuit.nodes[place].key}" for place in mine.members)
            group(connection, circuit.id, NodeGroup(mine.label, nodes), mine.author)


@pytest.fixture
async def api(server, grouped):
    database = await AsyncDatabase.connect(server.bolt_uri, server.user, server.password)
    async with Api(database) as api:
        yield api
    await database.close()


def groupings(circuits: Sequence[Circuit], words: Sequence[str] = ()) -> list[dict]:
    """By method and author, people together: scored first, then most circuits, most supernodes, names."""
    found: dict[tuple[str, str], list[tuple[str, Supernode]]] = defaultdict(list)
    for circuit in circuits:
        for each in supernodes_of(circuit):
            if all(any(part.startswith(word) for part in each.label.split()) for word in words):
                found[each.method, "" if each.method == PERSON else each.author].append((circuit.id, each))
    rows: list[tuple[tuple, dict]] = []
    for (method, author), members in found.items():
        row: dict[str, Any] = {
            "method": method,
            "authors": sorted({each.author for _, each in members}),
            "nSupernodes": len(members),
            "nCircuits": len({circuit for circuit, _ in members}),
        }
        unscored = all(each.score is None for _, each in members)
        rows.append(((unscored, -row["nCircuits"], -row["nSupernodes"], method, author), row))
    return [row for _, row in sorted(rows, key=lambda each: each[0])]


GIVEN = [
    ({}, ("scored", {"atlas"})),
    ({"method": "plain"}, ("plain", {"atlas"})),
    ({"method": "viewer"}, ("viewer", {"dan"})),
    ({"method": "viewer", "author": "eve"}, ("viewer", {"eve"})),
    ({"author": "eve"}, ("viewer", {"eve"})),
    ({"method": PERSON}, (PERSON, {"ada", "bob"})),
    ({"method": PERSON, "author": "ada"}, (PERSON, {"ada"})),
    ({"method": "no such"}, ("", set())),
]

BY_NAME = """query ($label: String, $families: [String!], $method: String, $author: String) {
  supernodes(label: $label, families: $families, method: $method, author: $author, first: 100) {
    totalCount nCircuits nConsidered
    grouping { method authors nSupernodes nCircuits } groupings { method authors nSupernodes nCircuits }
    nodes { label method author circuit { id } members { id } } } }"""


@pytest.mark.parametrize(("given", "wanted"), GIVEN)
@pytest.mark.parametrize("families", [None, ["capitals", "antonyms"]])
async def test_supernodes_by_name_are_of_one_grouping(api, given, wanted, families):
    method, authors = wanted
    answer = (await api(BY_NAME, label="say", families=families, **given))["supernodes"]
    circuits = [each for each in CIRCUITS if families is None or each.prompt.family in families]
    expected = [
        (circuit.id, each.label, {f"{circuit.id}/{circuit.nodes[place].key}" for place in each.members})
        for circuit in circuits
        for each in supernodes_of(circuit)
        if each.method == method and each.author in authors
    ]
    found = [
        (node["circuit"]["id"], node["label"], {each["id"] for each in node["members"]})
        for node in answer["nodes"]
    ]
    key = lambda each: (*each[:2], sorted(each[2]))  # noqa: E731
    assert sorted(found, key=key) == sorted(expected, key=key)[:100]
    n_circuits = len({circuit for circuit, *_ in expected})
    assert (answer["totalCount"], answer["nCircuits"], answer["nConsidered"]) == (
        *(len(expected), n_circuits, n_circuits),
    )
    rows = groupings(circuits, ["say"])
    assert answer["groupings"] == rows
    fitting = [row for row in rows if row["method"] == method and authors & set(row["authors"])]
    assert answer["grouping"] == (fitting[0] if fitting else None)


async def test_a_name_is_looked_for_in_a_grouping_that_has_it(api):
    answer = (await api(BY_NAME, label="seen"))["supernodes"]
    assert {(node["method"], node["author"]) for node in answer["nodes"]} == {("viewer", "dan")}
    (mine,) = (row for row in groupings(CIRCUITS) if row["authors"] == ["dan"])
    assert (answer["nCircuits"], answer["nConsidered"]) == (mine["nCircuits"], mine["nCircuits"])
    few = (await api(BY_NAME, label="mine"))["supernodes"]
    assert (few["totalCount"], few["nCircuits"], few["nConsidered"]) == (2, 2, len(PEOPLE))


async def test_a_name_that_nothing_has_was_looked_for_in_so_many_circuits(api):
    for given, method in (({}, "scored"), ({"method": "plain"}, "plain")):
        answer = (await api(BY_NAME, label="no such name", **given))["supernodes"]
        (row,) = (row for row in groupings(CIRCUITS) if row["method"] == method)
        assert answer["grouping"] == row | {"nSupernodes": 0, "nCircuits": 0}
        assert (answer["totalCount"], answer["nCircuits"], answer["nConsidered"], answer["groupings"]) == (
            *(0, 0, row["nCircuits"], []),
        )


CONTRAST = """
query ($positive: CircuitSet!, $negative: CircuitSet!, $method: String, $author: String) {
  contrast(positive: $positive, negative: $negative) {
    groupings { method authors nSupernodes nCircuits }
    supernodes(method: $method, author: $author, minCircuits: 1, first: 100) {
      grouping { method authors nSupernodes nCircuits }
      nodes { label nPositive nConsideredPositive nNegative nConsideredNegative meanPositive meanNegative
              auroc lift } } } }"""


def values(circuit: Circuit, method: str, authors: set[str]) -> dict[str, float] | None:
    """Label → influence of all its members; None when the circuit is not grouped so."""
    members: dict[str, set[int]] = defaultdict(set)
    for each in supernodes_of(circuit):
        if each.method == method and each.author in authors:
            members[each.label] |= set(each.members)
    found = {
        label: math.fsum(circuit.nodes[place].influence or 0.0 for place in places)
        for label, places in members.items()
    }
    return found or None


@pytest.mark.parametrize(("given", "wanted"), GIVEN)
async def test_a_contrast_of_supernodes_is_of_one_grouping(api, near, given, wanted):
    method, authors = wanted
    sides = [[each for each in CIRCUITS if each.prompt.family == f] for f in ("capitals", "antonyms")]
    positive, negative = ({"families": [side[0].prompt.family]} for side in sides)
    answer = (await api(CONTRAST, positive=positive, negative=negative, **given))["contrast"]
    rows = groupings([*sides[0], *sides[1]])
    assert answer["groupings"] == rows
    fitting = [row for row in rows if row["method"] == method and authors & set(row["authors"])]
    assert answer["supernodes"]["grouping"] == (fitting[0] if fitting else None)
    # What is not grouped in this way could not have it, whatever other groupings it has.
    ours, theirs = (
        [found for each in side if (found := values(each, method, authors)) is not None] for side in sides
    )
    expected = {}
    for label in {label for found in (*ours, *theirs) for label in found}:
        with_ours, with_theirs = ([f[label] for f in side if label in f] for side in (ours, theirs))
        pairs = [(a.get(label, -1.0), b.get(label, -1.0)) for a in ours for b in theirs]
        expected[label] = {
            "nPositive": len(with_ours),
            "nConsideredPositive": len(ours),
            "nNegative": len(with_theirs),
            "nConsideredNegative": len(theirs),
            "meanPositive": math.fsum(with_ours) / len(with_ours) if with_ours else None,
            "meanNegative": math.fsum(with_theirs) / len(with_theirs) if with_theirs else None,
            "auroc": sum((a > b) + (a == b) / 2 for a, b in pairs) / len(pairs) if pairs else None,
            "lift": len(with_ours) / len(ours) / (len(with_theirs) / len(theirs))
            if with_theirs and ours
            else None,
        }
    assert {node.pop("label"): node for node in answer["supernodes"]["nodes"]} == near(expected)
    assert expected or method in ("", PERSON, "viewer")


async def test_downloads_are_of_one_grouping_too(api):
    for given, _ in GIVEN:
        answer = await api(BY_NAME, label="say", **given)
        rows = await api.http.get("/export/supernodes.csv", params={"label": "say", **given})
        assert rows.status_code == 200, rows.text
        assert len(rows.text.strip().splitlines()) - 1 == answer["supernodes"]["totalCount"]
        sets = {"positive.families": "capitals", "negative.families": "antonyms", "minCircuits": "1"}
        rows = await api.http.get("/export/contrast.supernodes.csv", params=sets | given)
        assert rows.status_code == 200, rows.text
        families = {"positive": {"families": ["capitals"]}, "negative": {"families": ["antonyms"]}}
        answer = await api(CONTRAST, **families, **given)
        assert len(rows.text.strip().splitlines()) - 1 == len(answer["contrast"]["supernodes"]["nodes"])
