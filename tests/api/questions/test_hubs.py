"""Hubs, compared with plain loops over the records."""

import math
from collections import Counter, defaultdict

import pytest

from tests.api.questions.test_structure import in_set
from tests.support.circuits import drives, uses

HUBS = """
query ($by: HubBy!, $dense: Boolean, $above: Float!, $families: [String!], $transcoders: [String!]) {
  hubs(by: $by, dense: $dense, denseAbove: $above, minCircuits: 2, first: 100, families: $families,
       transcoders: $transcoders) {
    totalCount
    nodes { nCircuits nConsidered frequency dense influence drives drivenBy feature { id }
            specificity { tau family share } } } }"""


def hubs(circuits, above, among):
    """Feature → what hubs should say of a set of circuits. Specificity is that among all circuits."""
    everything = hubs(circuits, above, {}) if among else {}
    circuits = in_set(circuits, among)
    table, found = uses(circuits), defaultdict(list)
    for (circuit, feature), use in table.items():
        found[feature].append((circuit, use.influence))
    pairs = list(drives(circuits))
    out, into = Counter(source for source, _ in pairs), Counter(target for _, target in pairs)
    answer = {}
    for feature, each in found.items():
        of_set = [c for c in circuits if c.transcoders.id == feature.rsplit("/", 2)[0]]
        shares = []
        for family in sorted({circuit.prompt.family for circuit in of_set}):
            ids = {circuit.id for circuit in of_set if circuit.prompt.family == family}
            shares.append((-sum(circuit in ids for circuit, _ in each) / len(ids), family))
        greatest, family = min(shares)
        answer[feature] = {
            "nCircuits": len(each),
            "nConsidered": len(of_set),
            "frequency": len(each) / len(of_set),
            "dense": len(each) / len(of_set) > above,
            "influence": math.fsum(influence or 0.0 for _, influence in each),
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
    everything = {f: row for f, row in hubs(circuits, above, among).items() if row["nCircuits"] >= 2}
    expected = {f: row for f, row in everything.items() if dense in (None, row["dense"])}
    data = (await api(HUBS, by=by, dense=dense, above=above, **among))["hubs"]
    assert data["totalCount"] == len(expected)
    place = {
        "INFLUENCE": lambda row: row["influence"],
        "DEGREE": lambda row: row["drives"] + row["drivenBy"],
        "FREQUENCY": lambda row: row["frequency"],
    }[by]
    assert [place(row) for row in data["nodes"]] == near(
        sorted(map(place, expected.values()), reverse=True)[:100]
    )
    found = {row.pop("feature")["id"]: row for row in data["nodes"]}
    assert found == near({feature: expected[feature] for feature in found})
