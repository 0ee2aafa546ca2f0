"""Supernodes in edits, grouped in several ways: always of one of them, which is said, as in the records."""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest

from ingest.evidence.named_edits import grouped_edits, plain_edits
from schema.annotations.supernodes import NodeGroup, group
from schema.circuit.records import Circuit, NodeKind, Supernode
from schema.database import Database
from schema.errors import AtlasError
from schema.loading.load import load_circuit
from tests.support.circuits import RUN, TRANSCODERS, synthetic_circuits
from tests.support.servers import empty

PERSON = "person"


def regrouped(circuit: Circuit, number: int) -> Circuit:
    features = [place for place, node in enumerate(circuit.nodes) if node.kind is NodeKind.FEATURE]

    def made(label: str, places: Sequence[int], method: str, author: str, score: float | None) -> Supernode:
        return Supernode(label, None, tuple(places), method, author, score)

    groups = [
        made("texas", features[:4], "plain", "atlas", None),
        made("only plain", features[1:3], "plain", "atlas", None),
        made("a|b", features[2:5], "plain", "atlas", None),
        # Two viewers, in equally many circuits.
        made("seen", features[:2], "viewer", "dan", None),
        made("seen", features[3:6], "viewer", "eve", None),
        # One viewer in more circuits than the other.
        made("more", features[:2], "viewer", "dan", None),
    ]
    if number % 2:
        groups += [
            made("texas", features[2:7:2], "scored", "atlas", 0.5),
            made("more", features[4:6], "viewer", "eve", None),
        ]
    return replace(circuit, supernodes=tuple(groups))


CIRCUITS = [
    regrouped(circuit, number)
    for number, circuit in enumerate(
        each for each in synthetic_circuits(12, seed=5) if each.transcoders == TRANSCODERS
    )
]


def places_of(circuit: Circuit) -> list[int]:
    return [place for place, node in enumerate(circuit.nodes) if node.kind is NodeKind.FEATURE]


PEOPLE = [("ada", "texas", 0, 7), ("bob", "texas", 1, 8)]
"""Author, label, number of the circuit, place among its features."""


@pytest.fixture(scope="module")
def database(connection: Database) -> Iterator[Database]:
    empty(connection)
    for circuit in CIRCUITS:
        load_circuit(connection, circuit, RUN)
    for author, label, number, place in PEOPLE:
        circuit = CIRCUITS[number]
        node = f"{circuit.id}/{circuit.nodes[places_of(circuit)[place]].key}"
        group(connection, circuit.id, NodeGroup(label, (node,)), author)
    yield connection
    empty(connection)


def members(label: str, method: str, *authors: str) -> dict[str, float]:
    """LAYER/INDEX → mean activation over the places that are grouped, in order."""
    found: dict[tuple[int, int], list[float]] = defaultdict(list)
    for number, circuit in enumerate(CIRCUITS):
        places = {
            place
            for each in circuit.supernodes
            if (each.label, each.method) == (label, method) and each.author in authors
            for place in each.members
        }
        if method == PERSON:
            places = {
                places_of(circuit)[at]
                for author, name, n, at in PEOPLE
                if (name, n) == (label, number) and author in authors
            }
        for place in places:
            node = circuit.nodes[place]
            assert node.index is not None
            assert node.activation is not None
            found[node.layer, node.index].append(node.activation)
    return {f"{layer}/{n}": math.fsum(v) / len(v) for (layer, n), v in sorted(found.items())}


@pytest.mark.parametrize(
    ("name", "meant", "expected"),
    [
        ("texas", "texas|scored", lambda: members("texas", "scored", "atlas")),
        ("texas|scored", "texas|scored", lambda: members("texas", "scored", "atlas")),
        ("texas|plain", "texas|plain", lambda: members("texas", "plain", "atlas")),
        ("texas|person", "texas|person", lambda: members("texas", PERSON, "ada", "bob")),
        ("texas|person|ada", "texas|person|ada", lambda: members("texas", PERSON, "ada")),
        ("only plain", "only plain|plain", lambda: members("only plain", "plain", "atlas")),
        ("more", "more|viewer|dan", lambda: members("more", "viewer", "dan")),
        ("more|viewer|eve", "more|viewer|eve", lambda: members("more", "viewer", "eve")),
        ("seen|viewer|eve", "seen|viewer|eve", lambda: members("seen", "viewer", "eve")),
        ("a|b", "a|b|plain", lambda: members("a|b", "plain", "atlas")),
        ("a|b|plain", "a|b|plain", lambda: members("a|b", "plain", "atlas")),
    ],
)
def test_a_supernode_in_an_edit_is_of_one_grouping(
    database: Database, name: str, meant: str, expected: Callable[[], dict[str, float]]
) -> None:
    features = expected()
    edits = ["scale {%s}@1-3=2" % name, "ablate 3/1@all"]  # noqa: UP031
    named = grouped_edits(database, TRANSCODERS.id, edits)
    assert named == ["scale {%s}@1-3=2" % meant, "ablate 3/1@all"]  # noqa: UP031
    plain = [*(f"scale {each}@1-3=2" for each in features), "ablate 3/1@all"]
    # What is kept means the same when it is read again.
    assert plain_edits(database, TRANSCODERS.id, edits) == plain
    assert plain_edits(database, TRANSCODERS.id, named) == plain
    assert grouped_edits(database, TRANSCODERS.id, named) == named
    planted = plain_edits(database, TRANSCODERS.id, ["plant {%s}@all" % name])  # noqa: UP031
    assert {each.split("@")[0]: float(each.split("=")[1]) for each in planted} == pytest.approx(
        {f"set {each}": activation for each, activation in features.items()}
    )


def test_both_sides_of_a_swap_say_their_grouping(database: Database) -> None:
    named = grouped_edits(database, TRANSCODERS.id, ["swap {texas}:{only plain}@all"])
    assert named == ["swap {texas|scored}:{only plain|plain}@all"]
    ours, theirs = members("texas", "scored", "atlas"), members("only plain", "plain", "atlas")
    plain = plain_edits(database, TRANSCODERS.id, named)
    assert [each.split("@")[0] for each in plain] == [
        *(f"ablate {each}" for each in ours if each not in theirs),
        *(f"set {each}" for each in theirs),
    ]


@pytest.mark.parametrize(
    ("name", "what", "next_step"),
    [
        ("seen", "{seen} is in 2 groupings", "name one: {seen|viewer|dan} or {seen|viewer|eve}"),
        ("more|viewer", "{more} is in 2 groupings", "name one: {more|viewer|dan} or {more|viewer|eve}"),
        ("texas|none", "has the supernode {texas|none}", "{texas|scored} or {texas|plain} or {texas|person}"),
        ("texas|person|eve", "has the supernode {texas|person|eve}", "write {texas|scored}"),
        ("ohio", "has the supernode {ohio}", "`supernodes` in GraphQL finds labels"),
        ("ohio|plain", "has the supernode {ohio|plain}", "`supernodes` in GraphQL finds labels"),
        ("|", "has the supernode {|}", "`supernodes` in GraphQL finds labels"),
    ],
)
def test_a_grouping_that_is_unclear_or_unknown_is_named_with_those_there_are(
    database: Database, name: str, what: str, next_step: str
) -> None:
    for read in (grouped_edits, plain_edits):
        with pytest.raises(AtlasError, match=re.escape(what)) as refused:
            read(database, TRANSCODERS.id, ["ablate {%s}@all" % name])  # noqa: UP031
        assert next_step in (refused.value.next_step or "")


def test_supernodes_of_another_set_are_not_meant(database: Database) -> None:
    with pytest.raises(AtlasError, match="made with another set"):
        plain_edits(database, "another set", ["ablate {texas}@all"])
