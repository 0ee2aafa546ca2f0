"""The circuits that share features, compared with a loop over the records."""

import math
from typing import Any

import pytest

from schema.circuit.records import NodeKind
from tests.support.choosing import n_settings, of_set, popular
from tests.support.circuits import feature_id, uses

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
