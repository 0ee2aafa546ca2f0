"""Questions across circuits, each compared with a loop over the records."""

import math
from collections.abc import Sequence
from typing import Any

import pytest

from schema.circuit.records import Circuit, NodeKind
from tests.support.circuits import TRANSCODERS, Use, feature_id, uses


def of_set(circuits: Sequence[Circuit], *, plain: bool = True) -> list[Circuit]:
    return [circuit for circuit in circuits if (circuit.transcoders == TRANSCODERS) == plain]


def n_settings(circuits: Sequence[Circuit]) -> int:
    return len({(circuit.transcoders.id, circuit.node_threshold) for circuit in circuits})


def by_feature(circuits: Sequence[Circuit]) -> dict[str, dict[str, Use]]:
    """Feature id → circuit id → use."""
    found: dict[str, dict[str, Use]] = {}
    for (circuit, feature), use in uses(circuits).items():
        found.setdefault(feature, {})[circuit] = use
    return found


def popular(circuits: Sequence[Circuit], n: int) -> list[str]:
    """The features of most circuits."""
    found = by_feature(circuits)
    return sorted(found, key=lambda feature: (-len(found[feature]), feature))[:n]


SHARING = """
query ($features: [ID!]!, $mode: Match!, $min: Float, $kind: NodeKind, $among: CircuitSet) {
  circuitsSharing(features: $features, mode: $mode, minInfluence: $min, kind: $kind, among: $among,
                  first: 100) {
    totalCount mixedSettings considered { nCircuits mixedSettings }
    nodes { nFeatures influence circuit { id } uses { feature { id } influence activation positions } }
  }
}"""


def acting_on(circuit, kind):
    """The features that act directly on a node of the kind."""
    return {
        feature_id(circuit, circuit.nodes[edge.source])
        for edge in circuit.edges
        if circuit.nodes[edge.source].kind is NodeKind.FEATURE and circuit.nodes[edge.target].kind is kind
    }


def sharing(circuits, features, needed, least=None, considered=None, kind=None):
    """What circuitsSharing should answer."""
    sets = {feature.rsplit("/", 2)[0] for feature in features}
    considered = [c for c in (circuits if considered is None else considered) if c.transcoders.id in sets]
    nodes: list[dict[str, Any]] = []
    for circuit in considered:
        mine: list[dict[str, Any]] = [
            {
                "feature": {"id": feature},
                "influence": use.influence,
                "activation": use.activation,
                "positions": use.positions,
            }
            for (_, feature), use in uses([circuit]).items()
            if feature in features
            and (least is None or (use.influence or 0) >= least)
            and (kind is None or feature in acting_on(circuit, kind))
        ]
        mine.sort(key=lambda use: (-use["influence"], use["feature"]["id"]))
        if len(mine) >= needed:
            total = math.fsum(use["influence"] for use in mine)
            nodes.append(
                {"nFeatures": len(mine), "influence": total, "circuit": {"id": circuit.id}, "uses": mine}
            )
    nodes.sort(key=lambda node: (-node["nFeatures"], -node["influence"], node["circuit"]["id"]))
    mixed = n_settings(considered) > 1
    return {
        "totalCount": len(nodes),
        "mixedSettings": mixed,
        "considered": {"nCircuits": len(considered), "mixedSettings": mixed},
        "nodes": nodes,
    }


@pytest.mark.parametrize(("mode", "n"), [("ALL", 1), ("ALL", 2), ("ALL", 3), ("ANY", 3)])
async def test_circuits_sharing(api, near, circuits, mode, n):
    features = popular(circuits, n)
    data = await api(SHARING, features=features, mode=mode)
    expected = sharing(circuits, features, n if mode == "ALL" else 1)
    assert expected["totalCount"] > 0
    assert data["circuitsSharing"] == near(expected)


async def test_circuits_sharing_with_influence_and_among(api, near, circuits):
    features = popular(circuits, 2)
    data = await api(SHARING, features=features, mode="ANY", min=0.05, among={"families": ["capitals"]})
    family = [circuit for circuit in circuits if circuit.prompt.family == "capitals"]
    expected = sharing(circuits, features, 1, 0.05, family)
    assert 0 < expected["totalCount"] < len(family)
    assert data["circuitsSharing"] == near(expected)


@pytest.mark.parametrize("kind", [NodeKind.LOGIT, NodeKind.FEATURE])
async def test_circuits_sharing_where_the_features_act_on_a_kind(api, near, circuits, kind):
    features = popular(circuits, 4)
    data = await api(SHARING, features=features, mode="ANY", kind=kind.name)
    expected = sharing(circuits, features, 1, kind=kind)
    assert expected["totalCount"] > 0
    assert expected != sharing(circuits, features, 1)
    assert data["circuitsSharing"] == near(expected)
    assert (await api.error(SHARING, features=features, mode="ANY", kind="TOKEN"))[0] == "BAD_INPUT"


async def test_what_a_shared_feature_does_in_a_circuit(api, near, circuits):
    feature = popular(circuits, 1)[0]
    data = await api(
        """query ($features: [ID!]!) { circuitsSharing(features: $features, first: 100) { nodes {
          circuit { id }
          uses { occurrences { position positionFromEnd token activation influence
                               logits { weight share logit { kind token probability } } } } } } }""",
        features=[feature],
    )
    answer = {
        node["circuit"]["id"]: node["uses"][0]["occurrences"] for node in data["circuitsSharing"]["nodes"]
    }
    expected = {}
    for circuit in of_set(circuits):
        places = {
            place: node
            for place, node in enumerate(circuit.nodes)
            if node.kind is NodeKind.FEATURE and feature_id(circuit, node) == feature
        }
        if places:
            expected[circuit.id] = [
                {
                    "position": node.position,
                    "positionFromEnd": len(circuit.prompt.tokens) - 1 - node.position,
                    "token": circuit.prompt.tokens[node.position],
                    "activation": node.activation,
                    "influence": node.influence,
                    "logits": [
                        {
                            "weight": edge.weight,
                            "share": edge.share,
                            "logit": {
                                "kind": "LOGIT",
                                "token": circuit.nodes[edge.target].token,
                                "probability": circuit.nodes[edge.target].probability,
                            },
                        }
                        for edge in sorted(circuit.edges, key=lambda edge: -abs(edge.weight))
                        if edge.source == place and circuit.nodes[edge.target].kind is NodeKind.LOGIT
                    ],
                }
                for place, node in sorted(places.items(), key=lambda item: item[1].position)
            ]
    assert any(each["logits"] for occurrences in expected.values() for each in occurrences)
    assert answer == expected


SHARED = """
query ($circuits: [ID!], $families: [String!], $tags: [String!], $tagMode: Match!, $min: Int!,
       $absent: AbsentFrom, $order: SharedOrder!, $first: Int, $after: String) {
  sharedFeatures(circuits: $circuits, families: $families, tags: $tags, tagMode: $tagMode, minCircuits: $min,
                 absentFrom: $absent, orderBy: $order, first: $first, after: $after) {
    totalCount mixedSettings considered { nCircuits } outside { nCircuits }
    pageInfo { hasNextPage hasPreviousPage endCursor }
    nodes { nCircuits nConsidered share meanInfluence nCircuitsOutside nConsideredOutside shareOutside lift
            feature { id } }
  }
}"""


def shared(inside, outside, least, most=None, order="SUPPORT"):
    """What sharedFeatures should answer, without its page."""
    within, without = by_feature(inside), by_feature(outside)
    nodes = []
    for feature, found in within.items():
        n_outside = len(without.get(feature, {}))
        if len(found) < least or (most is not None and n_outside > most):
            continue
        set_id = feature.rsplit("/", 2)[0]
        n_in = sum(circuit.transcoders.id == set_id for circuit in inside)
        n_out = sum(circuit.transcoders.id == set_id for circuit in outside)
        influences = [use.influence or 0.0 for use in found.values()]
        nodes.append(
            {
                "nCircuits": len(found),
                "nConsidered": n_in,
                "share": len(found) / n_in,
                "meanInfluence": math.fsum(influences) / len(influences),
                "nCircuitsOutside": n_outside,
                "nConsideredOutside": n_out,
                "shareOutside": n_outside / n_out if n_out else None,
                "lift": len(found) / n_in / (n_outside / n_out) if n_outside else None,
                "feature": {"id": feature},
            }
        )

    def place(node):
        by_lift = (
            (2, 0)
            if not node["nConsideredOutside"]
            else (0, 0)
            if node["lift"] is None
            else (1, -node["lift"])
        )
        first = {"SUPPORT": -node["nCircuits"], "INFLUENCE": -node["meanInfluence"], "LIFT": by_lift}[order]
        return first, -node["nCircuits"], -node["meanInfluence"], node["feature"]["id"]

    return {
        "totalCount": len(nodes),
        "mixedSettings": n_settings([*inside, *outside]) > 1,
        "considered": {"nCircuits": len(inside)},
        "outside": {"nCircuits": len(outside)},
        "nodes": sorted(nodes, key=place),
    }


async def every_page(api, first=20, **variables):
    """The answer with the nodes of all pages."""
    after, nodes, answer = None, [], {}
    while True:
        answer = (await api(SHARED, first=first, after=after, **variables))["sharedFeatures"]
        nodes += answer["nodes"]
        info = answer.pop("pageInfo")
        assert info["hasPreviousPage"] is (after is not None)
        if not info["hasNextPage"]:
            return {**answer, "nodes": nodes}
        after = info["endCursor"]


@pytest.mark.parametrize("order", ["SUPPORT", "INFLUENCE", "LIFT"])
async def test_shared_features_of_a_family_against_the_rest(api, near, circuits, order):
    answer = await every_page(api, families=["capitals"], tagMode="ALL", min=2, order=order)
    inside = [circuit for circuit in circuits if circuit.prompt.family == "capitals"]
    sets = {circuit.transcoders.id for circuit in inside}
    outside = [c for c in circuits if c.prompt.family != "capitals" and c.transcoders.id in sets]
    expected = shared(inside, outside, 2, order=order)
    assert expected["totalCount"] > 20
    assert answer == near(expected)


@pytest.mark.parametrize("most", [0, 2])
async def test_shared_by_one_kind_and_absent_from_another(api, near, circuits, most):
    absent = {"tags": ["easy"], "families": ["antonyms"], "maxCircuits": most}
    answer = await every_page(
        api, families=["capitals"], tagMode="ALL", min=3, absent=absent, order="SUPPORT"
    )
    inside = [circuit for circuit in circuits if circuit.prompt.family == "capitals"]
    outside = [circuit for circuit in circuits if circuit.prompt.family == "antonyms"]
    expected = shared(inside, outside, 3, most)
    assert expected["totalCount"] > 0
    assert answer == near(expected)


@pytest.mark.parametrize(
    ("tags", "mode", "families"),
    [
        (["easy", "numbers"], "ALL", None),
        (["easy", "two-hop"], "ANY", None),
        (["easy"], "ALL", ["antonyms", "capitals"]),
        (["numbers"], "ALL", ["capitals"]),
    ],
)
async def test_tags_and_families_combine(api, near, circuits, tags, mode, families):
    together = all if mode == "ALL" else any
    inside = [
        circuit
        for circuit in circuits
        if together(tag in circuit.prompt.tags for tag in tags)
        and (families is None or circuit.prompt.family in families)
    ]
    sets = {circuit.transcoders.id for circuit in inside}
    outside = [c for c in circuits if c not in inside and c.transcoders.id in sets]
    answer = await every_page(api, 100, families=families, tags=tags, tagMode=mode, min=2, order="SUPPORT")
    assert answer == near(shared(inside, outside, 2))


async def test_shared_features_of_named_circuits_are_not_flagged_when_equal_in_settings(api, near, circuits):
    named = of_set(circuits)[:5]
    others = [c for c in of_set(circuits) if c not in named and c.node_threshold == 0.8]
    answer = await every_page(
        api,
        circuits=[circuit.id for circuit in named],
        tagMode="ALL",
        min=1,
        order="SUPPORT",
        absent={"circuits": [circuit.id for circuit in others], "maxCircuits": 1000},
    )
    assert answer["mixedSettings"] is False
    assert answer == near(shared(named, others, 1))


async def test_a_page_behind_the_end_is_empty(api, near, circuits):
    data = await api(SHARED, tagMode="ALL", min=2, order="SUPPORT", first=100)
    total = data["sharedFeatures"]["totalCount"]
    query = "{ features(first: 100) { totalCount pageInfo { endCursor } nodes { id } } }"
    first = (await api(query))["features"]
    assert total > len(data["sharedFeatures"]["nodes"]) or total <= 100
    cursor, seen = first["pageInfo"]["endCursor"], first["nodes"]
    while cursor:
        again = (await api(query.replace("first: 100", f'first: 100, after: "{cursor}"')))["features"]
        cursor = again["pageInfo"]["endCursor"]
        seen += again["nodes"]
    assert again == {"totalCount": len(seen), "pageInfo": {"endCursor": None}, "nodes": []}
    assert len({node["id"] for node in seen}) == len(seen) == len(by_feature(circuits))
