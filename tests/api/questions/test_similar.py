"""Similar circuits, compared with plain loops over the records."""

import math
from collections import Counter
from typing import Any

import pytest

from schema.circuit.records import NodeKind
from schema.questions.question import ask
from schema.questions.sets import SIMILAR_CIRCUITS
from tests.support.choosing import influences_of, of_family
from tests.support.circuits import TRANSCODERS, effects, uses

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
    mine, my_effects = influences_of(asked), effects(asked)
    answer = {}
    for circuit in of_set:
        theirs, their_effects = influences_of(circuit), effects(circuit)
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


def test_the_budget_counts_uses_in_the_circuits_to_choose_from(connection, circuits):
    asked = next(c for c in circuits if c.prompt.family == "capitals")
    features = len({node.feature_key for node in asked.nodes if node.kind is NodeKind.FEATURE})
    common = similar(circuits, asked, "OVERLAP")
    for circuit in common:
        (page,) = ask(
            connection,
            SIMILAR_CIRCUITS,
            timeout_s=60.0,
            circuit=asked.id,
            metric="overlap",
            among=[circuit],
            candidates=1,
            budget=features,
            skip=0,
            limit=1,
        )
        assert [(row.circuit, row.n_common) for row in page.rows] == [(circuit, common[circuit]["nCommon"])]
