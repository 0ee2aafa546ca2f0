"""Features, hubs and recurring effects that count prompts or clusters: loops over the records."""

import math
import random
from collections import Counter, defaultdict
from dataclasses import replace

import pytest

from api.request.limits import Limits
from schema.loading.load import load_circuit
from tests.api.questions.test_counting import BY, every_page
from tests.api.questions.test_hubs import HUBS, PLACES, hubs, known_means
from tests.api.questions.test_structure import in_set
from tests.support.api import OTHER_SET
from tests.support.choosing import popular
from tests.support.circuits import RUN, synthetic_circuits, uses
from tests.support.counting import effects_of_units, having, in_units, unit_of
from tests.support.servers import empty


def unknown(circuit):
    """The circuit without any influence."""
    nodes = tuple(replace(node, influence=None) for node in circuit.nodes)
    return replace(circuit, nodes=nodes, labels=(), supernodes=())


@pytest.fixture(scope="module")
def circuits(connection):
    """Seven of 14 prompts have several circuits.

    Three more are of another transcoder set: two of prompt 2, one of prompt 10. Influence is unknown in one
    of the circuits of prompt 1, in both of prompt 6, and in the only one of the last prompt but one. The last
    prompt is a minimal pair with prompts of another family.
    """
    made = synthetic_circuits(24, seed=3)
    circuits = made[:12]
    again = [(made[12 + place], place) for place in range(7)]
    circuits += [replace(c, prompt=made[place].prompt, node_threshold=0.7) for c, place in again]
    for place in (6, 13, 18):
        circuits[place] = unknown(circuits[place])
    for circuit, place, threshold in ((made[20], 2, 0.8), (made[21], 2, 0.7), (made[22], 10, 0.8)):
        of_prompt = replace(circuit, prompt=made[place].prompt, node_threshold=threshold)
        circuits.append(replace(of_prompt, transcoders=OTHER_SET))
    circuits.append(unknown(made[19]))
    circuits.append(replace(made[23], prompt=replace(made[23].prompt, pair=made[0].prompt.pair)))
    empty(connection)
    for circuit in random.Random(1).sample(circuits, len(circuits)):
        load_circuit(connection, circuit, RUN)
    connection.wait_for_full_text()
    return circuits


def test_the_records_are_those_of_the_fixture(circuits):
    families = defaultdict(set)
    for circuit in circuits:
        families[unit_of(circuits, "CLUSTERS")[circuit.id]].add(circuit.prompt.family)
    assert max(map(len, families.values())) == 2
    sizes = [len(set(unit_of(circuits, by).values())) for by in BY]
    assert sizes == sorted(set(sizes), reverse=True)
    unit = unit_of(circuits, "PROMPTS")
    assert {len({c.transcoders.id for c in each}) for each in in_units(circuits, unit)} == {1, 2}


SETS = [
    {},
    {"families": ["arithmetic"]},
    {"families": ["arithmetic", "antonyms"]},
    {"transcoders": [OTHER_SET.name]},
    {"families": ["capitals", "antonyms"], "transcoders": ["made-up-clt"]},
]


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("among", SETS)
async def test_hubs(api, near, circuits, among, by):
    above = 0.3
    everything = hubs(circuits, above, among, unit_of(circuits, by))
    for order, dense, least in (
        *((order, None, 1) for order in PLACES),
        ("INFLUENCE", False, 2),
        ("FREQUENCY", True, 1),
        ("DEGREE", None, 3),
    ):
        expected = {
            feature: row
            for feature, row in everything.items()
            if row["nCircuits"] >= least and dense in (None, row["dense"])
        }
        asked = {"by": order, "dense": dense, "above": above, "least": least, "count": by, **among}
        found = await every_page(api, "hubs", HUBS, 37, **asked)
        rows = {row.pop("feature")["id"]: row for row in found.pop("nodes")}
        n_unknown = sum(row["influence"] is None for row in expected.values())
        assert found == {
            "totalCount": len(expected),
            "countedBy": by,
            "unknownInfluence": n_unknown if order == "INFLUENCE" else None,
        }
        assert rows == near(expected)
        assert [PLACES[order](row) for row in rows.values()] == near(
            sorted(map(PLACES[order], expected.values()), reverse=True)
        )


FEATURES = """
query ($families: [String!], $transcoders: [String!], $search: String, $layer: Int, $least: Int!,
       $order: FeatureOrder!, $by: CountBy!, $first: Int!, $after: String) {
  features(families: $families, transcoders: $transcoders, search: $search, layer: $layer,
           minCircuits: $least, orderBy: $order, countBy: $by, first: $first, after: $after) {
    totalCount countedBy unknownInfluence pageInfo { hasNextPage endCursor } nodes { id nCircuits } } }"""


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("among", SETS)
async def test_features(api, circuits, among, by):
    unit, labels = unit_of(circuits, by), defaultdict(set)
    for circuit in circuits:
        for label in circuit.labels:
            labels[circuit.transcoders.feature_id(label.layer, label.index)].add(label.text)
    influences: defaultdict[str, dict[str, float | None]] = defaultdict(dict)
    for (circuit, feature), use in uses(in_set(circuits, among)).items():
        influences[feature][circuit] = use.influence
    n_circuits = Counter(feature for _, feature in uses(circuits))
    n_units = {feature: len({unit[circuit] for circuit in each}) for feature, each in influences.items()}
    means = {feature: known_means(each, unit) for feature, each in influences.items()}
    places = {
        "CIRCUITS": lambda feature: -n_units[feature],
        "INFLUENCE": lambda feature: -math.fsum(m) / len(m) if (m := means[feature]) else 1.0,
        "LAYER": lambda feature: [int(part) for part in feature.rsplit("/", 2)[1:]],
    }
    for order, place in places.items():
        for search, layer, least in ((None, None, 1), (None, None, 3), (None, 2, 2), ("token3", None, 2)):
            expected = sorted(
                (
                    feature
                    for feature, n in n_units.items()
                    if n >= least
                    and layer in (None, int(feature.split("/")[-2]))
                    and (search is None or any(f" {search}" in text for text in labels[feature]))
                ),
                key=lambda feature: (place(feature), feature),
            )
            asked = {"search": search, "layer": layer, "least": least, "order": order, "by": by, **among}
            assert await every_page(api, "features", FEATURES, 40, **asked) == {
                "totalCount": len(expected),
                "countedBy": by,
                "unknownInfluence": sum(not means[each] for each in expected)
                if order == "INFLUENCE"
                else None,
                "nodes": [{"id": each, "nCircuits": n_circuits[each]} for each in expected],
            }


EFFECTS = "nodes { nCircuits nConsidered mean sd signConsistency feature { id } }"


def recurring(circuits, feature, here, unit):
    """The effects of a feature on others (here: 0), or of others on it (1), most circuits first."""
    units = in_units(circuits, unit)
    both, rows = having(units), []
    for pair, weights in effects_of_units(units).items():
        if pair[here] == feature:
            mean = math.fsum(weights) / len(weights)
            rows.append(
                {
                    "nCircuits": len(weights),
                    "nConsidered": both[pair],
                    "mean": mean,
                    "sd": math.sqrt(math.fsum((w - mean) ** 2 for w in weights) / len(weights)),
                    "signConsistency": max(sum(w > 0 for w in weights), sum(w < 0 for w in weights))
                    / len(weights),
                    "feature": {"id": pair[1 - here]},
                }
            )
    return sorted(rows, key=lambda row: (-row["nCircuits"], -abs(row["mean"]), row["feature"]["id"]))


@pytest.mark.parametrize("by", BY)
async def test_effects_of_one_feature(api, near, circuits, by):
    unit = unit_of(circuits, by)
    query = f"""query ($id: ID!, $least: Int!, $by: CountBy!) {{ feature(id: $id) {{
      drives(minCircuits: $least, countBy: $by, first: 100) {{ totalCount countedBy {EFFECTS} }}
      drivenBy(minCircuits: $least, countBy: $by, first: 100) {{ totalCount countedBy {EFFECTS} }} }} }}"""
    n = 0
    for feature in popular(circuits, 12):
        for least in (1, 2):
            expected = {}
            for name, here in (("drives", 0), ("drivenBy", 1)):
                rows = [r for r in recurring(circuits, feature, here, unit) if r["nCircuits"] >= least]
                expected[name] = {"totalCount": len(rows), "countedBy": by, "nodes": rows}
                n += least == 2 and len(rows)
            assert (await api(query, id=feature, least=least, by=by))["feature"] == near(expected)
    assert n > 10


async def test_prompts_are_counted_unless_the_question_says_otherwise(api, near, circuits):
    """Also where the page travels with its feature."""
    for name, here in (("drives", 0), ("drivenBy", 1)):
        unit = unit_of(circuits, "PROMPTS")
        feature = max(popular(circuits, 12), key=lambda each: len(recurring(circuits, each, here, unit)))
        rows = recurring(circuits, feature, here, unit)
        found = await api(f"query ($id: ID!) {{ feature(id: $id) {{ {name} {{ {EFFECTS} }} }} }}", id=feature)
        assert rows
        assert found["feature"][name]["nodes"] == near(rows[:20])
    for field in ("features(minCircuits: 2", "hubs(minCircuits: 2"):
        nodes = "nodes { id }" if field.startswith("features") else "nodes { nCircuits influence }"
        (left, right) = [
            await api(f"{{ {field}, first: 100{by}) {{ totalCount countedBy {nodes} }} }}")
            for by in ("", ", countBy: PROMPTS")
        ]
        assert left == right


async def test_effects_of_many_features_are_asked_together(api_with, circuits):
    api = api_with(Limits(timeout_s=120))
    query = f"""query ($first: Int!) {{ features(first: $first) {{ nodes {{
      id drives(first: 3) {{ {EFFECTS} }} drivenBy(first: 3, countBy: CIRCUITS) {{ {EFFECTS} }} }} }} }}"""
    counted = []
    for first in (6, 20):
        before = api.database.queries
        found = (await api(query, first=first))["features"]["nodes"]
        counted.append(api.database.queries - before)
    # The prompts of the circuits, the features, two lists of effects, and two kinds of denominators.
    assert counted == [6, 6]
    for node in found[:3]:
        alone = await api(
            f"query ($id: ID!) {{ feature(id: $id) {{ drives(first: 3) {{ {EFFECTS} }} }} }}", id=node["id"]
        )
        assert alone["feature"]["drives"] == node["drives"]
