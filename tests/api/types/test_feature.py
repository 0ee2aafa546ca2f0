"""A feature and lists of features, with everything that belongs to them, compared with the records."""

import math
from typing import Any

import pytest

from tests.support.choosing import by_feature, popular
from tests.support.circuits import TRANSCODERS, drives, uses


async def test_feature(api, near, circuits):
    feature = popular(circuits, 1)[0]
    layer, index = feature.split("/")[1:]
    data = await api(
        """query ($id: ID!) { feature(id: $id) {
          id layer index nCircuits nConsidered
          transcoders { id kind nCircuits model { id nLayers trainingStep } }
          labels { text method author score nullScore }
          families { family nCircuits nConsidered share meanInfluence }
          circuits(first: 100) { totalCount nodes { influence activation positions circuit { id } } } } }""",
        id=feature,
    )
    mine = [circuit for circuit in circuits if circuit.transcoders == TRANSCODERS]
    table = {circuit: use for (circuit, name), use in uses(circuits).items() if name == feature}
    families = []
    for family in {circuit.prompt.family for circuit in mine}:
        considered = [circuit for circuit in mine if circuit.prompt.family == family]
        found = [table[circuit.id].influence or 0.0 for circuit in considered if circuit.id in table]
        if found:
            families.append(
                {
                    "family": family,
                    "nCircuits": len(found),
                    "nConsidered": len(considered),
                    "share": len(found) / len(considered),
                    "meanInfluence": math.fsum(found) / len(found),
                }
            )
    texts = {
        (label.text, label.method, label.author, label.score, label.null_score)
        for circuit in mine
        for label in circuit.labels
        if (label.layer, label.index) == (int(layer), int(index))
    }
    assert data["feature"] == near(
        {
            "id": feature,
            "layer": int(layer),
            "index": index,
            "nCircuits": len(table),
            "nConsidered": len(mine),
            "transcoders": {
                "id": TRANSCODERS.id,
                "kind": "clt",
                "nCircuits": len(mine),
                "model": {"id": mine[0].model.id, "nLayers": 4, "trainingStep": 1500},
            },
            "labels": [
                dict(zip(("text", "method", "author", "score", "nullScore"), text, strict=True))
                for text in texts
            ],
            "families": sorted(families, key=lambda each: (-each["share"], each["family"])),
            "circuits": {
                "totalCount": len(table),
                "nodes": [
                    {
                        "influence": use.influence,
                        "activation": use.activation,
                        "positions": use.positions,
                        "circuit": {"id": circuit},
                    }
                    for circuit, use in sorted(
                        table.items(), key=lambda item: (-(item[1].influence or 0), item[0])
                    )
                ],
            },
        }
    )


@pytest.mark.parametrize("direction", ["drives", "drivenBy"])
async def test_recurring_edges(api, near, circuits, direction):
    table = drives(circuits)
    here, there = (0, 1) if direction == "drives" else (1, 0)
    feature = max(table, key=lambda pair: (table[pair].n_circuits, pair))[here]
    data = await api(
        f"query ($id: ID!) {{ feature(id: $id) {{ {direction}(first: 99, minCircuits: 2, countBy: CIRCUITS)"
        " { ...found } } }"
        "fragment found on RecurringEffectConnection "
        "{ totalCount nodes { nCircuits nConsidered mean sd signConsistency feature { id } } }",
        id=feature,
    )
    found = by_feature(circuits)
    expected: list[dict[str, Any]] = [
        {
            "nCircuits": drive.n_circuits,
            "nConsidered": len(found[pair[0]].keys() & found[pair[1]].keys()),
            "mean": drive.mean,
            "sd": drive.sd,
            "signConsistency": drive.sign_consistency,
            "feature": {"id": pair[there]},
        }
        for pair, drive in table.items()
        if pair[here] == feature and drive.n_circuits >= 2
    ]
    expected.sort(key=lambda each: (-each["nCircuits"], -abs(each["mean"]), each["feature"]["id"]))
    assert expected
    assert data["feature"][direction] == near({"totalCount": len(expected), "nodes": expected})


FEATURES = """
query ($search: String, $layer: Int, $family: String, $min: Int!, $order: FeatureOrder!) {
  features(search: $search, layer: $layer, family: $family, minCircuits: $min, orderBy: $order, first: 100,
           countBy: CIRCUITS) {
    totalCount nodes { id } } }"""


@pytest.mark.parametrize("order", ["CIRCUITS", "INFLUENCE", "LAYER"])
@pytest.mark.parametrize(
    ("search", "layer", "family", "least"),
    [
        (None, None, None, 3),
        (None, 2, "capitals", 1),
        ("token3 WORDS", None, None, 1),
        ("like tok", None, "arithmetic", 3),
    ],
)
async def test_features(api, near, circuits, order, search, layer, family, least):
    labels: dict[str, set[str]] = {}
    for circuit in circuits:
        for label in circuit.labels:
            labels.setdefault(circuit.transcoders.feature_id(label.layer, label.index), set()).add(label.text)
    considered = [circuit for circuit in circuits if family is None or circuit.prompt.family == family]
    influences: dict[str, list[float]] = {}
    for (_, feature), use in uses(considered).items():
        influences.setdefault(feature, []).append(use.influence or 0.0)

    def fits(feature: str) -> bool:
        words = (search or "").lower().split()
        says = [text.split() for text in labels.get(feature, ())]
        found = not words or any(
            all(any(each.startswith(word) for each in text) for word in words) for text in says
        )
        return found and (layer is None or int(feature.split("/")[1]) == layer)

    chosen = [each for each, values in influences.items() if len(values) >= least and fits(each)]
    place = {
        "CIRCUITS": lambda each: -len(influences[each]),
        "INFLUENCE": lambda each: -math.fsum(influences[each]) / len(influences[each]),
        "LAYER": lambda each: tuple(int(part) for part in each.split("/")[1:]),
    }[order]
    chosen.sort(key=lambda each: (place(each), each))
    assert chosen
    data = await api(FEATURES, search=search, layer=layer, family=family, min=least, order=order)
    assert data["features"] == {"totalCount": len(chosen), "nodes": [{"id": each} for each in chosen[:100]]}
