"""Two circuits side by side, compared with a loop over the records."""

import math
from collections import defaultdict

import pytest

from schema.circuit.records import Circuit, Node, NodeKind
from tests.support.choosing import n_settings, of_set
from tests.support.circuits import Use, feature_id

COMPARE = """
query ($a: ID!, $b: ID!, $align: Align) {
  compareCircuits(a: $a, b: $b, align: $align) {
    a { id } b { id } mixedSettings
    featuresOnlyInA(first: 100) { ...features } featuresOnlyInB(first: 100) { ...features }
    featuresInBoth(first: 100) { ...features }
    edgesOnlyInA(first: 100) { ...edges } edgesOnlyInB(first: 100) { ...edges }
    edgesInBoth(first: 100) { ...edges } edgesFlipped(first: 100) { ...edges }
  }
}
fragment features on ComparedFeatureConnection {
  totalCount
  nodes { feature { id } place
          influenceA influenceB difference activationA activationB positionsA positionsB }
}
fragment edges on ComparedEffectConnection {
  totalCount nodes { source { id } target { id } sourcePlace targetPlace weightA weightB difference }
}"""


def place_of(circuit: Circuit, node: Node, align: str) -> int | None:
    if align == "FREE":
        return None
    return node.position if align == "POSITION" else len(circuit.prompt.tokens) - 1 - node.position


def aligned_uses(circuit: Circuit, align: str) -> dict[tuple[str, int | None], Use]:
    found = defaultdict(list)
    for node in circuit.nodes:
        if node.kind is NodeKind.FEATURE:
            found[feature_id(circuit, node), place_of(circuit, node, align)].append(node)
    return {
        key: Use(
            math.fsum(node.influence or 0.0 for node in nodes),
            max(node.activation or 0.0 for node in nodes),
            sorted(node.position for node in nodes),
        )
        for key, nodes in found.items()
    }


def aligned_effects(circuit: Circuit, align: str) -> dict[tuple[str, str, int | None, int | None], float]:
    found = defaultdict(list)
    for edge in circuit.edges:
        source, target = circuit.nodes[edge.source], circuit.nodes[edge.target]
        if (source.kind, target.kind) == (NodeKind.FEATURE, NodeKind.FEATURE):
            places = place_of(circuit, source, align), place_of(circuit, target, align)
            found[feature_id(circuit, source), feature_id(circuit, target), *places].append(edge.weight)
    return {key: math.fsum(weights) for key, weights in found.items()}


def compared(a: Circuit, b: Circuit, align: str = "FREE"):
    """What compareCircuits should answer."""
    in_a, in_b = aligned_uses(a, align), aligned_uses(b, align)
    nothing = Use(None, None, [])

    def minus(x, y):
        return None if x is None or y is None else x - y

    def features(names):
        rows = []
        for name in names:
            ua, ub = in_a.get(name, nothing), in_b.get(name, nothing)
            rows.append(
                {
                    "feature": {"id": name[0]},
                    "place": name[1],
                    "influenceA": ua.influence,
                    "influenceB": ub.influence,
                    "difference": minus(ua.influence, ub.influence),
                    "activationA": ua.activation,
                    "activationB": ub.activation,
                    "positionsA": ua.positions,
                    "positionsB": ub.positions,
                }
            )
        size = [
            (
                -abs(r["difference"] or r["influenceA"] or r["influenceB"] or 0),
                r["feature"]["id"],
                r["place"] or 0,
            )
            for r in rows
        ]
        rows = [row for _, row in sorted(zip(size, rows, strict=True), key=lambda pair: pair[0])]
        return {"totalCount": len(rows), "nodes": rows[:100]}

    edges_a, edges_b = aligned_effects(a, align), aligned_effects(b, align)

    def edges(pairs):
        rows = [
            {
                "source": {"id": pair[0]},
                "target": {"id": pair[1]},
                "sourcePlace": pair[2],
                "targetPlace": pair[3],
                "weightA": edges_a.get(pair),
                "weightB": edges_b.get(pair),
                "difference": minus(edges_a.get(pair), edges_b.get(pair)),
            }
            for pair in pairs
        ]

        def place(row):
            value = next(row[key] for key in ("difference", "weightA", "weightB") if row[key] is not None)
            places = row["sourcePlace"], row["targetPlace"]
            return -abs(value), row["source"]["id"], row["target"]["id"], *(each or 0 for each in places)

        return {"totalCount": len(rows), "nodes": sorted(rows, key=place)[:100]}

    return {
        "a": {"id": a.id},
        "b": {"id": b.id},
        "mixedSettings": n_settings([a, b]) > 1,
        "featuresOnlyInA": features(in_a.keys() - in_b.keys()),
        "featuresOnlyInB": features(in_b.keys() - in_a.keys()),
        "featuresInBoth": features(in_a.keys() & in_b.keys()),
        "edgesOnlyInA": edges(edges_a.keys() - edges_b.keys()),
        "edgesOnlyInB": edges(edges_b.keys() - edges_a.keys()),
        "edgesInBoth": edges(both := edges_a.keys() & edges_b.keys()),
        "edgesFlipped": edges(pair for pair in both if edges_a[pair] * edges_b[pair] < 0),
    }


@pytest.mark.parametrize("align", ["FREE", "POSITION", "FROM_END"])
async def test_compare_circuits(api, near, circuits, align):
    plain = of_set(circuits)
    a, b = plain[0], plain[1]
    expected = compared(a, b, align)
    assert expected["featuresInBoth"]["totalCount"] > 0
    assert expected["edgesInBoth"]["totalCount"] > 0 or align != "FREE"
    data = await api(COMPARE, a=a.id, b=b.id, align=align)
    assert data["compareCircuits"] == near(expected)


async def test_effects_that_change_their_sign(api, near, circuits):
    plain = of_set(circuits)
    pairs = [(a, b) for a in plain for b in plain if a.id < b.id]
    a, b = next(pair for pair in pairs if compared(*pair)["edgesFlipped"]["totalCount"])
    data = await api(COMPARE, a=a.id, b=b.id)
    assert data["compareCircuits"] == near(compared(a, b))


async def test_comparing_different_settings_is_flagged(api, near, circuits):
    plain, other = of_set(circuits), of_set(circuits, plain=False)
    assert (await api(COMPARE, a=plain[0].id, b=plain[24].id))["compareCircuits"]["mixedSettings"] is True
    apart = (await api(COMPARE, a=plain[0].id, b=other[0].id))["compareCircuits"]
    assert apart["mixedSettings"] is True
    assert apart["featuresInBoth"] == {"totalCount": 0, "nodes": []}
