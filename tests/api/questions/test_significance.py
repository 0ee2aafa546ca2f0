"""P-values and q-values of shared features, compared with all permutations and with the definition."""

import itertools
import math
import random
from collections import Counter, defaultdict

import pytest

from api.questions.significance import SharingTests, p_values
from schema.questions.sets import Counts
from tests.support.choosing import of_family
from tests.support.circuits import uses


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
  sharedFeatures(families: $families, minCircuits: 2, countBy: CIRCUITS, absentFrom: $absent,
                 orderBy: $order, first: 100) {
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
