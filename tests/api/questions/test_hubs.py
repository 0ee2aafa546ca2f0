"""Hubs, compared with plain loops over the records."""

import math
from collections import Counter, defaultdict

import pytest

from tests.api.questions.test_structure import in_set
from tests.support.circuits import drives, uses
from tests.support.counting import unit_of

HUBS = """
query ($by: HubBy!, $dense: Boolean, $above: Float!, $families: [String!], $transcoders: [String!],
       $least: Int! = 2, $count: CountBy! = CIRCUITS, $first: Int! = 100, $after: String) {
  hubs(by: $by, dense: $dense, denseAbove: $above, minCircuits: $least, families: $families,
       transcoders: $transcoders, countBy: $count, first: $first, after: $after) {
    totalCount countedBy unknownInfluence pageInfo { hasNextPage endCursor }
    nodes { nCircuits nConsidered frequency dense influence drives drivenBy feature { id }
            specificity { tau family share } } } }"""


def hubs(circuits, above, among, unit):
    """Feature → what hubs should say of a set of circuits. Specificity is that among all circuits.

    unit: circuit id → what it is counted as.
    """
    everything = hubs(circuits, above, {}, unit) if among else {}
    circuits = in_set(circuits, among)
    found: defaultdict[str, dict[str, float | None]] = defaultdict(dict)
    for (circuit, feature), use in uses(circuits).items():
        found[feature][circuit] = use.influence
    pairs = list(drives(circuits))
    out, into = Counter(source for source, _ in pairs), Counter(target for _, target in pairs)
    answer = {}
    for feature, each in found.items():
        of_set = [c for c in circuits if c.transcoders.id == feature.rsplit("/", 2)[0]]
        shares, n_units = [], len({unit[circuit] for circuit in each})
        n_of_set = len({unit[circuit.id] for circuit in of_set})
        for family in sorted({circuit.prompt.family for circuit in of_set}):
            ids = {circuit.id for circuit in of_set if circuit.prompt.family == family}
            having = {unit[circuit] for circuit in ids & each.keys()}
            shares.append((-len(having) / len({unit[circuit] for circuit in ids}), family))
        greatest, family = min(shares)
        answer[feature] = {
            "nCircuits": n_units,
            "nConsidered": n_of_set,
            "frequency": n_units / n_of_set,
            "dense": n_units / n_of_set > above,
            "influence": total(known_means(each, unit)),
            "drives": out[feature],
            "drivenBy": into[feature],
            "specificity": {
                "tau": math.fsum(1 - share / greatest for share, _ in shares) / (len(shares) - 1)
                if len(shares) > 1
                else None,
                "family": family,
                "share": -greatest,
            },
        }
        if everything:
            answer[feature]["specificity"] = everything[feature]["specificity"]
    return answer


def known_means(influences, unit):
    """The mean influence in each unit, over those of its circuits where it is known.

    influences: circuit id → influence, or None.
    """
    known = defaultdict(list)
    for circuit, influence in influences.items():
        if influence is not None:
            known[unit[circuit]].append(influence)
    return [math.fsum(values) / len(values) for values in known.values()]


def total(values):
    return math.fsum(values) if values else None


PLACES = {
    "INFLUENCE": lambda row: row["influence"] or 0.0,
    "DEGREE": lambda row: row["drives"] + row["drivenBy"],
    "FREQUENCY": lambda row: row["frequency"],
}
AMONG = [
    {},
    {"families": ["arithmetic", "capitals"]},
    {"transcoders": ["made-up-plt"]},
    {"families": ["arithmetic"], "transcoders": ["made-up-clt@fedcba987654"]},
]


@pytest.mark.parametrize("among", AMONG)
@pytest.mark.parametrize("dense", [None, True, False])
@pytest.mark.parametrize("by", ["INFLUENCE", "DEGREE", "FREQUENCY"])
async def test_hubs(api, near, circuits, by, dense, among):
    above = 0.4
    every = hubs(circuits, above, among, unit_of(circuits, "CIRCUITS"))
    everything = {f: row for f, row in every.items() if row["nCircuits"] >= 2}
    expected = {f: row for f, row in everything.items() if dense in (None, row["dense"])}
    data = (await api(HUBS, by=by, dense=dense, above=above, **among))["hubs"]
    assert data["totalCount"] == len(expected)
    place = PLACES[by]
    assert [place(row) for row in data["nodes"]] == near(
        sorted(map(place, expected.values()), reverse=True)[:100]
    )
    found = {row.pop("feature")["id"]: row for row in data["nodes"]}
    assert found == near({feature: expected[feature] for feature in found})
