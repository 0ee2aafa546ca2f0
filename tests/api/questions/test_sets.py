"""Sets of circuits against each other: p-values, contrasts and similarity, compared with plain loops."""

import itertools
import math
import random
from collections import Counter, defaultdict
from typing import Any

import pytest

from api.questions.significance import SharingTests, p_values
from schema.questions.sets import Counts
from tests.support.circuits import TRANSCODERS, effects, uses


def of_family(circuits, *names):
    return [circuit for circuit in circuits if circuit.prompt.family in names]


@pytest.mark.parametrize(
    "having", [[1, 1, 1, 0, 0, 0, 0, 1], [1, 0, 0, 0, 0, 0, 1, 1], [1] * 8, [0, 0, 0, 1, 1, 1, 1, 1]]
)
@pytest.mark.parametrize("n_inside", [1, 3, 7, 8])
def test_the_p_value_is_that_of_all_permutations(having, n_inside):
    support = sum(having[:n_inside])
    choices = list(itertools.combinations(range(len(having)), n_inside))
    as_many = sum(sum(having[place] for place in chosen) >= support for chosen in choices)
    counts = Counts(support, n_inside, sum(having) - support, len(having) - n_inside)
    assert p_values([counts])[counts] == pytest.approx(as_many / len(choices), rel=1e-12)


def test_p_values_of_thousands_of_circuits_are_exact():
    rng = random.Random(0)
    exact = {}
    for _ in range(40):
        n_inside, n_outside = rng.randint(1, 400), rng.randint(0, 1500)
        counts = Counts(rng.randint(0, n_inside), n_inside, rng.randint(0, n_outside), n_outside)
        having, n = counts.support + counts.support_outside, n_inside + n_outside
        ways = sum(
            math.comb(having, k) * math.comb(n - having, n_inside - k)
            for k in range(counts.support, min(having, n_inside) + 1)
        )
        exact[counts] = ways / math.comb(n, n_inside)
    assert p_values(exact) == pytest.approx(exact, rel=1e-9, abs=1e-300)


def test_q_values_are_those_of_the_definition():
    rng = random.Random(1)
    drawn = Counter(Counts(rng.randint(1, 5), 5, rng.randint(0, 9), 9) for _ in range(60))
    m = 75  # fifteen features are in no circuit inside
    tests = SharingTests(drawn, m)
    p = sorted([tests.p[counts] for counts in drawn.elements()] + [1.0] * 15)
    for counts in drawn:
        expected = min(p[j] * m / (j + 1) for j in range(m) if p[j] >= tests.p[counts] * (1 - 1e-12))
        assert tests.q[counts] == pytest.approx(expected, rel=1e-12)
    assert SharingTests({}, 15).q == {}


TESTED = """
query ($families: [String!], $absent: AbsentFrom, $order: SharedOrder!) {
  sharedFeatures(families: $families, minCircuits: 2, absentFrom: $absent, orderBy: $order, first: 100) {
    totalCount nTested nodes { feature { id } nCircuits pValue qValue } } }"""


def significance(inside, outside):
    """Feature → (p, q), over the features of both sets."""
    sets = {circuit.transcoders.id for circuit in inside}
    having = defaultdict(set)
    for circuit, feature in uses([*inside, *outside]):
        if feature.rsplit("/", 2)[0] in sets:
            having[feature].add(circuit)
    p = {}
    for feature, found in having.items():
        ours, theirs = (
            [c for c in cs if c.transcoders.id == feature.rsplit("/", 2)[0]] for cs in (inside, outside)
        )
        support = sum(circuit.id in found for circuit in ours)
        counts = Counts(support, len(ours), len(found) - support, len(theirs))
        p[feature] = p_values([counts])[counts]
    ordered = sorted(p.values())
    m = len(ordered)
    q = {
        feature: min(ordered[j] * m / (j + 1) for j in range(m) if ordered[j] >= value * (1 - 1e-12))
        for feature, value in p.items()
    }
    return {feature: (p[feature], q[feature], sum(c.id in having[feature] for c in inside)) for feature in p}


@pytest.mark.parametrize("absent", [False, True])
async def test_shared_features_are_tested_against_chance(api, near, circuits, absent):
    inside = of_family(circuits, "capitals")
    outside = of_family(circuits, "antonyms") if absent else of_family(circuits, "antonyms", "arithmetic")
    sets = {circuit.transcoders.id for circuit in inside}
    outside = [c for c in outside if absent or c.transcoders.id in sets]
    expected = significance(inside, outside)
    other = {"families": ["antonyms"], "maxCircuits": 100} if absent else None
    answer = (await api(TESTED, families=["capitals"], absent=other, order="P_VALUE"))["sharedFeatures"]
    assert answer["nTested"] == len(expected)
    assert answer["totalCount"] == sum(support >= 2 for _, _, support in expected.values())
    found = {
        node["feature"]["id"]: [node["pValue"], node["qValue"], node["nCircuits"]] for node in answer["nodes"]
    }
    assert found == near({feature: list(expected[feature]) for feature in found})
    order = [node["pValue"] for node in answer["nodes"]]
    assert order == sorted(order)
    assert order[0] < 0.05
    assert order[0] == near(min(p for p, _, support in expected.values() if support >= 2))
    by_lift = (await api(TESTED, families=["capitals"], absent=other, order="LIFT"))["sharedFeatures"][
        "nodes"
    ]
    assert {n["feature"]["id"]: n["qValue"] for n in by_lift} == near(
        {n["feature"]["id"]: expected[n["feature"]["id"]][1] for n in by_lift}
    )


CONTRAST = """
query ($positive: CircuitSet!, $negative: CircuitSet!, $order: ContrastOrder!, $least: Int!) {
  contrast(positive: $positive, negative: $negative) {
    mixedSettings positive { nCircuits } negative { nCircuits }
    features(orderBy: $order, minCircuits: $least, first: 100) {
      totalCount nodes { feature { id } ...facts } }
    edges(orderBy: $order, minCircuits: $least, first: 100) {
      totalCount nodes { source { id } target { id } ...facts } }
    supernodes(orderBy: $order, minCircuits: $least, first: 100) { totalCount nodes { label ...facts } } } }
fragment facts on %s {
  nPositive nConsideredPositive nNegative nConsideredNegative meanPositive meanNegative auroc lift }
"""


def contrasted(positive, negative, values, could, least, absent):
    """name → facts. values(circuit): name → value; could(circuit, name): whether it could have it."""
    ours, theirs = [values(c) for c in positive], [values(c) for c in negative]
    answer = {}
    for name in {name for found in (*ours, *theirs) for name in found}:
        n_pos = sum(could(circuit, name) for circuit in positive)
        n_neg = sum(could(circuit, name) for circuit in negative)
        with_pos = [found[name] for found in ours if name in found]
        with_neg = [found[name] for found in theirs if name in found]
        if len(with_pos) + len(with_neg) < least:
            continue
        a = with_pos + [absent] * (n_pos - len(with_pos))
        b = with_neg + [absent] * (n_neg - len(with_neg))
        won = sum((x > y) + (x == y) / 2 for x in a for y in b)
        answer[name] = {
            "nPositive": len(with_pos),
            "nConsideredPositive": n_pos,
            "nNegative": len(with_neg),
            "nConsideredNegative": n_neg,
            "meanPositive": math.fsum(with_pos) / len(with_pos) if with_pos else None,
            "meanNegative": math.fsum(with_neg) / len(with_neg) if with_neg else None,
            "auroc": won / (n_pos * n_neg) if n_pos and n_neg else None,
            "lift": len(with_pos) / n_pos / (len(with_neg) / n_neg) if with_neg and n_pos else None,
        }
    return answer


def feature_values(circuit):
    return {feature: use.influence or 0.0 for (_, feature), use in uses([circuit]).items()}


def supernode_values(circuit):
    members: dict[str, set[int]] = defaultdict(set)
    for supernode in circuit.supernodes:
        members[supernode.label] |= set(supernode.members)
    return {label: math.fsum(circuit.nodes[i].influence for i in places) for label, places in members.items()}


def same_set(circuit, name):
    return circuit.transcoders.id == (name if isinstance(name, str) else name[0]).rsplit("/", 2)[0]


@pytest.mark.parametrize("order", ["SEPARATION", "AUROC", "LIFT"])
@pytest.mark.parametrize(
    ("ours", "theirs"), [(["capitals"], ["antonyms"]), (["antonyms", "capitals"], ["arithmetic"])]
)
async def test_contrast(api, near, circuits, ours, theirs, order):
    positive, negative = of_family(circuits, *ours), of_family(circuits, *theirs)
    # A query's fragments are on one type each; the facts are the same for all three.
    text = CONTRAST
    for kind in ("ContrastFeature", "ContrastEffect", "ContrastSupernode"):
        text = text.replace("...facts", f"...{kind}", 1)
    fragment = text[text.index("fragment") :].strip()
    text = text[: text.index("fragment")] + "".join(
        fragment.replace("fragment facts", f"fragment {kind}") % kind
        for kind in ("ContrastFeature", "ContrastEffect", "ContrastSupernode")
    )
    data = (
        await api(text, positive={"families": ours}, negative={"families": theirs}, order=order, least=4)
    )["contrast"]
    assert data["mixedSettings"] is True
    assert (data["positive"], data["negative"]) == (
        {"nCircuits": len(positive)},
        {"nCircuits": len(negative)},
    )
    expected = {
        "features": contrasted(positive, negative, feature_values, same_set, 4, -1.0),
        "edges": contrasted(positive, negative, effects, same_set, 4, 0.0),
        "supernodes": contrasted(
            positive, negative, supernode_values, lambda c, _: bool(c.supernodes), 4, -1.0
        ),
    }
    for part, rows in expected.items():
        assert data[part]["totalCount"] == len(rows) > 0, part
        found = {}
        for node in data[part]["nodes"]:
            name = (
                node.pop("label")
                if part == "supernodes"
                else node.pop("feature")["id"]
                if part == "features"
                else (node.pop("source")["id"], node.pop("target")["id"])
            )
            found[name] = node
        assert found == near({name: rows[name] for name in found}), part
        place = {
            "SEPARATION": lambda row: -abs((row["auroc"] if row["auroc"] is not None else 0.5) - 0.5),
            "AUROC": lambda row: -(row["auroc"] if row["auroc"] is not None else -1.0),
            "LIFT": lambda row: (
                1.0 if not row["nConsideredNegative"] else -math.inf if row["lift"] is None else -row["lift"]
            ),
        }[order]
        assert [place(row) for row in found.values()] == near(sorted(map(place, rows.values()))[: len(found)])


async def test_a_contrast_of_overlapping_sets_is_refused(api):
    query = (
        '{ contrast(positive: {families: ["capitals"]}, negative: {tags: ["two-hop"]}) { mixedSettings } }'
    )
    code, message, _ = await api.error(query)
    assert (code, message.endswith("both in positive and in negative")) == ("BAD_INPUT", True)


SIMILAR = """
query ($circuit: ID!, $metric: Similarity!, $among: CircuitSet) {
  similarCircuits(circuit: $circuit, metric: $metric, among: $among, first: 40) {
    totalCount mixedSettings considered { nCircuits }
    nodes { similarity nCommon circuit { id }
            features(first: 100) { totalCount nodes { weight influenceA influenceB feature { id } } }
            edges(first: 100) {
              totalCount nodes { weight weightA weightB source { id } target { id } } } } } }"""


def similar(circuits, asked, metric):
    """Circuit id → what similarCircuits should say of it."""
    of_set = [circuit for circuit in circuits if circuit.transcoders == asked.transcoders]
    having = Counter(feature for _, feature in uses(of_set))
    driving = Counter(pair for circuit in of_set for pair in effects(circuit))
    idf = {feature: math.log(len(of_set) / n) for feature, n in having.items()}
    mine, my_effects = feature_values(asked), effects(asked)
    answer = {}
    for circuit in of_set:
        theirs, their_effects = feature_values(circuit), effects(circuit)
        common = {feature for feature in mine if feature in theirs and idf[feature] > 0}
        if circuit is asked or not common:
            continue
        shared = math.fsum(idf[feature] for feature in common)
        if metric == "COSINE":
            norms = [
                math.sqrt(math.fsum((value * idf[f]) ** 2 for f, value in one.items()))
                for one in (mine, theirs)
            ]
            dot = math.fsum(mine[f] * theirs[f] * idf[f] ** 2 for f in common)
            similarity = dot / (norms[0] * norms[1])
        else:
            either = mine if metric == "OVERLAP" else {**mine, **theirs}
            similarity = shared / math.fsum(idf[feature] for feature in either)
        features: list[dict[str, Any]] = [
            {"weight": idf[f], "influenceA": mine[f], "influenceB": theirs[f], "feature": {"id": f}}
            for f in common
        ]
        edges: list[dict[str, Any]] = [
            {
                "weight": math.log(len(of_set) / driving[pair]) * min(abs(weight), abs(their_effects[pair])),
                "weightA": weight,
                "weightB": their_effects[pair],
                "source": {"id": pair[0]},
                "target": {"id": pair[1]},
            }
            for pair, weight in my_effects.items()
            if weight * their_effects.get(pair, 0) > 0
        ]
        features.sort(key=lambda f: (-f["weight"], -f["influenceA"] * f["influenceB"], f["feature"]["id"]))
        edges.sort(key=lambda e: (-e["weight"], e["source"]["id"], e["target"]["id"]))
        answer[circuit.id] = {
            "similarity": similarity,
            "nCommon": len(common),
            "features": {"totalCount": len(features), "nodes": features},
            "edges": {"totalCount": len(edges), "nodes": edges},
        }
    return answer


@pytest.mark.parametrize("metric", ["JACCARD", "OVERLAP", "COSINE"])
async def test_similar_circuits(api, near, circuits, metric):
    asked = next(c for c in circuits if c.prompt.family == "capitals")
    data = (await api(SIMILAR, circuit=asked.id, metric=metric))["similarCircuits"]
    expected = similar(circuits, asked, metric)
    assert any(each["edges"]["nodes"] for each in expected.values())
    order = [node["similarity"] for node in data["nodes"]]
    assert order == sorted(order, reverse=True)
    found = {node.pop("circuit")["id"]: node for node in data.pop("nodes")}
    assert found == near(expected)
    of_set = [circuit for circuit in circuits if circuit.transcoders == TRANSCODERS]
    assert data == {
        "totalCount": len(expected),
        "mixedSettings": True,
        "considered": {"nCircuits": len(of_set)},
    }


async def test_similar_circuits_of_a_family(api, near, circuits):
    asked = next(c for c in circuits if c.prompt.family == "capitals")
    data = await api(SIMILAR, circuit=asked.id, metric="JACCARD", among={"families": ["arithmetic"]})
    family = {circuit.id for circuit in of_family(circuits, "arithmetic")}
    expected = {name: each for name, each in similar(circuits, asked, "JACCARD").items() if name in family}
    found = {node.pop("circuit")["id"]: node for node in data["similarCircuits"]["nodes"]}
    assert found == near(expected)
