"""The features that circuits share, compared with a loop over the records."""

import math

import pytest

from tests.support.choosing import by_feature, n_settings, of_set

SHARED = """
query ($circuits: [ID!], $families: [String!], $tags: [String!], $tagMode: Match!, $min: Int!,
       $absent: AbsentFrom, $order: SharedOrder!, $first: Int, $after: String) {
  sharedFeatures(circuits: $circuits, families: $families, tags: $tags, tagMode: $tagMode, minCircuits: $min,
                 countBy: CIRCUITS,
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
