"""The questions of `bench/graphql_peer.py`.

Each question is one query of this API. For @neo4j/graphql it is the smallest number of queries, and what the
client has to do with their answers.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

from bench.questions import PAGE, Sample

Ask = Callable[[str, Mapping[str, Any]], dict[str, Any]]
"""Function that sends a query with its variables and returns the data."""
Answer = list[tuple[Any, ...]]
"""The rows of a page: keys and numbers."""

CANDIDATES, BUDGET = 200, 10_000
"""Number of candidates for similar circuits, and the total number of uses of the features that find them. The
values are those of this API."""


def check_same(name: str, ours: Answer, theirs: Answer) -> None:
    """Compare two pages: numbers in order, and keys except those that tie with the last row of the page.

    The program stops with a message when they differ.
    """
    numbers = [[row[1:] for row in rows] for rows in (ours, theirs)]
    if len(ours) != len(theirs) or not all(
        (a is None) == (b is None) and (a is None or math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9))
        for left, right in zip(*numbers, strict=True)
        for a, b in zip(left, right, strict=True)
    ):
        raise SystemExit(f"{name}: other numbers\n{ours}\n{theirs}")
    last = ours[-1][1:] if ours else ()
    keys = [{row[0] for row in rows if row[1:] != last} for rows in (ours, theirs)]
    if len(keys[0] & keys[1]) < 0.9 * len(keys[0]):
        raise SystemExit(f"{name}: other keys\n{ours}\n{theirs}")


def our_circuits(ask: Ask, sample: Sample) -> Answer:
    data = ask(
        """query ($f: ID!) { feature(id: $f) {
             circuits(first: 20) { totalCount nodes { influence circuit { id prompt { text } } } } } }""",
        {"f": sample.features[0]},
    )
    return [(row["circuit"]["id"], row["influence"]) for row in data["feature"]["circuits"]["nodes"]]


def their_circuits(ask: Ask, sample: Sample) -> Answer:
    data = ask(
        """query ($f: ID!) { features(where: {id: {eq: $f}}) {
             usedByConnection(first: 20, sort: [{edge: {influence: DESC}}]) {
               totalCount edges { properties { influence } node { id prompts { text } } } } } }""",
        {"f": sample.features[0]},
    )
    (feature,) = data["features"]
    return [
        (row["node"]["id"], row["properties"]["influence"]) for row in feature["usedByConnection"]["edges"]
    ]


def our_features(ask: Ask, sample: Sample) -> Answer:
    data = ask(
        """query ($c: ID!) { circuit(id: $c) {
             features(first: 20) { totalCount nodes { influence feature { id nCircuits } } } } }""",
        {"c": sample.circuits[0]},
    )
    return [(row["feature"]["id"], row["influence"]) for row in data["circuit"]["features"]["nodes"]]


def their_features(ask: Ask, sample: Sample) -> Answer:
    data = ask(
        """query ($c: ID!) { circuits(where: {id: {eq: $c}}) {
             usesConnection(first: 20, sort: [{edge: {influence: DESC}}]) {
               totalCount edges { properties { influence } node { id n_circuits } } } } }""",
        {"c": sample.circuits[0]},
    )
    (circuit,) = data["circuits"]
    return [(row["node"]["id"], row["properties"]["influence"]) for row in circuit["usesConnection"]["edges"]]


def our_shared(ask: Ask, sample: Sample) -> Answer:
    data = ask(
        """query ($c: [ID!]) { sharedFeatures(circuits: $c) { totalCount
             nodes { nCircuits meanInfluence lift feature { id } } } }""",
        {"c": sample.circuits},
    )
    return [
        (row["feature"]["id"], row["nCircuits"], row["meanInfluence"], row["lift"])
        for row in data["sharedFeatures"]["nodes"]
    ]


USES = """circuits(where: {id: {in: %s}}) {
  usesConnection { edges { properties { influence } node { id n_circuits } } } }"""


def their_shared(ask: Ask, sample: Sample) -> Answer:
    data = ask(
        "query ($c: [ID!]) { %s circuitsConnection { aggregate { count { nodes } } } }" % (USES % "$c"),
        {"c": sample.circuits},
    )
    inside, total = len(sample.circuits), data["circuitsConnection"]["aggregate"]["count"]["nodes"]
    everywhere, influences = _uses(data["circuits"])
    rows = []
    for feature, found in influences.items():
        if len(found) >= 2:
            outside = (everywhere[feature] - len(found)) / (total - inside)
            lift = len(found) / inside / outside if outside else None
            rows.append((feature, len(found), sum(found) / len(found), lift))
    rows.sort(key=lambda row: (-row[1], -row[2], row[0]))
    return rows[:PAGE]


def our_contrast(ask: Ask, sample: Sample) -> Answer:
    data = ask(
        """query ($a: [ID!], $b: [ID!]) { contrast(positive: {circuits: $a}, negative: {circuits: $b}) {
             features { totalCount nodes { auroc lift feature { id } } } } }""",
        {"a": sample.circuits, "b": sample.others},
    )
    return [
        (row["feature"]["id"], row["auroc"], row["lift"]) for row in data["contrast"]["features"]["nodes"]
    ]


def their_contrast(ask: Ask, sample: Sample) -> Answer:
    data = ask(
        f"query ($a: [ID!], $b: [ID!]) {{ positive: {USES % '$a'} negative: {USES % '$b'} }}",
        {"a": sample.circuits, "b": sample.others},
    )
    _, positive = _uses(data["positive"])
    _, negative = _uses(data["negative"])
    n_positive, n_negative = len(sample.circuits), len(sample.others)
    rows = []
    for feature in positive.keys() | negative.keys():
        mine, others = positive.get(feature, []), negative.get(feature, [])
        if len(mine) + len(others) >= 2:
            won = (n_positive - len(mine)) * (n_negative - len(others)) / 2
            won += len(mine) * (n_negative - len(others))
            won += sum((a > b) + (a == b) / 2 for a, b in product(mine, others))
            lift = len(mine) * n_negative / (n_positive * len(others)) if others else None
            rows.append((feature, won / (n_positive * n_negative), lift, len(mine), len(others)))
    rows.sort(key=lambda row: (-abs(row[1] - 0.5), -row[3], row[4], row[0]))
    return [row[:3] for row in rows[:PAGE]]


def our_similar(ask: Ask, sample: Sample) -> Answer:
    data = ask(
        "query ($c: ID!) { similarCircuits(circuit: $c) { totalCount nodes { similarity circuit { id } } } }",
        {"c": sample.circuits[0]},
    )
    return [(row["circuit"]["id"], row["similarity"]) for row in data["similarCircuits"]["nodes"]]


def their_similar(ask: Ask, sample: Sample) -> Answer:
    data = ask(
        """query ($c: ID!) { circuits(where: {id: {eq: $c}}) { uses { id n_circuits } }
             circuitsConnection { aggregate { count { nodes } } } }""",
        {"c": sample.circuits[0]},
    )
    total = data["circuitsConnection"]["aggregate"]["count"]["nodes"]
    mine = sorted(data["circuits"][0]["uses"], key=lambda f: (f["n_circuits"], f["id"]))
    weights = {f["id"]: math.log(total / f["n_circuits"]) for f in mine}
    rare, used = [], 0
    for feature in mine:
        if used < BUDGET:
            rare.append(feature["id"])
            used += feature["n_circuits"]
    users = ask("query ($f: [ID!]) { features(where: {id: {in: $f}}) { id usedBy { id } } }", {"f": rare})
    common: dict[str, float] = defaultdict(float)
    for feature in users["features"]:
        for circuit in feature["usedBy"]:
            common[circuit["id"]] += weights[feature["id"]]
    common.pop(sample.circuits[0], None)
    candidates = sorted(common, key=lambda c: (-common[c], c))[:CANDIDATES]
    found = ask(
        "query ($c: [ID!]) { circuits(where: {id: {in: $c}}) { id uses { id n_circuits } } }",
        {"c": candidates},
    )
    rows = []
    whole = sum(weights.values())
    for circuit in found["circuits"]:
        both = sum(weights.get(f["id"], 0.0) for f in circuit["uses"])
        theirs = sum(math.log(total / f["n_circuits"]) for f in circuit["uses"])
        rows.append((circuit["id"], both / (whole + theirs - both)))
    rows.sort(key=lambda row: (-row[1], row[0]))
    return rows[:PAGE]


def our_recurring(ask: Ask, sample: Sample) -> Answer:
    data = ask(
        """query ($y: [String!]) { recurringEdges(families: $y, signConsistency: 0) { totalCount
             nodes { nCircuits mean source { id } target { id } } } }""",
        {"y": [sample.family]},
    )
    return [
        ((row["source"]["id"], row["target"]["id"]), row["nCircuits"], row["mean"])
        for row in data["recurringEdges"]["nodes"]
    ]


def their_recurring(ask: Ask, sample: Sample) -> Answer:
    data = ask(
        """query ($y: String!) { families(where: {name: {eq: $y}}) { prompts { circuits { featureNodes {
             features { id } actsConnection { edges { properties { weight } node { features { id } } } }
           } } } } }""",
        {"y": sample.family},
    )
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for prompt in data["families"][0]["prompts"]:
        for circuit in prompt["circuits"]:
            effects: dict[tuple[str, str], float] = defaultdict(float)
            for node in circuit["featureNodes"]:
                for edge in node["actsConnection"]["edges"]:
                    ends = (node["features"][0]["id"], edge["node"]["features"][0]["id"])
                    effects[ends] += edge["properties"]["weight"]
            for ends, weight in effects.items():
                found[ends].append(weight)
    rows = [(ends, len(all_), sum(all_) / len(all_)) for ends, all_ in found.items() if len(all_) >= 2]
    rows.sort(key=lambda row: (-row[1], -abs(row[2]), row[0]))
    return rows[:PAGE]


def _uses(circuits: list[dict[str, Any]]) -> tuple[dict[str, int], dict[str, list[float]]]:
    """For each feature, the number of circuits that have it, and its influences in the given circuits."""
    everywhere, influences = {}, defaultdict(list)
    for circuit in circuits:
        for edge in circuit["usesConnection"]["edges"]:
            everywhere[edge["node"]["id"]] = edge["node"]["n_circuits"]
            influences[edge["node"]["id"]].append(edge["properties"]["influence"])
    return everywhere, influences
