"""Answers that count prompts, or clusters of prompts, instead of circuits: loops over the records."""

import math
import random
from dataclasses import replace

import pytest

from api.questions.significance import p_values
from schema.loading.load import load_circuit
from schema.questions.sets import Counts
from tests.api.questions.test_contrast import contrasted, same_set, supernode_values
from tests.api.questions.test_drives_logit import drivers
from tests.api.questions.test_structure import in_set, motifs, recurring
from tests.support.api import OTHER_SET, Api
from tests.support.choosing import influences_of, of_family, popular
from tests.support.circuits import RUN, effects, synthetic_circuits
from tests.support.counting import effects_of_units, having, in_units, mean_of, unit_of
from tests.support.servers import empty

BY = ["CIRCUITS", "PROMPTS", "CLUSTERS"]
FACTS = "nPositive nConsideredPositive nNegative nConsideredNegative meanPositive meanNegative auroc lift"


@pytest.fixture(scope="module")
def circuits(connection):
    """Seven of twelve prompts have several circuits, with other nodes; two are of another transcoder set.

    In one of them no share of inputs is known.
    """
    made = synthetic_circuits(22, seed=3)
    circuits = made[:12]
    for place, other in enumerate(made[12:18]):
        circuits.append(replace(other, prompt=made[place].prompt, node_threshold=0.7))
    unknown = tuple(edge._replace(share=None) for edge in made[18].edges)
    circuits.append(replace(made[18], prompt=made[0].prompt, node_threshold=0.6, edges=unknown))
    circuits += [
        replace(c, prompt=made[p].prompt, transcoders=OTHER_SET) for c, p in ((made[19], 7), (made[20], 2))
    ]
    empty(connection)
    for circuit in random.Random(1).sample(circuits, len(circuits)):
        load_circuit(connection, circuit, RUN)
    return circuits


SHARED = """
query ($circuits: [ID!], $families: [String!], $absent: AbsentFrom, $order: SharedOrder!, $by: CountBy) {
  sharedFeatures(circuits: $circuits, families: $families, absentFrom: $absent, orderBy: $order,
                 minCircuits: 1, countBy: $by, first: 100) {
    totalCount nTested nOnBothSides considered { nCircuits nUnits countedBy } outside { nUnits countedBy }
    nodes { feature { id } nCircuits nConsidered meanInfluence nCircuitsOutside nConsideredOutside lift
            pValue } } }"""

RECURRING = """
query ($families: [String!], $order: EffectOrder!, $by: CountBy) {
  recurringEdges(families: $families, signConsistency: 0, orderBy: $order, countBy: $by, first: 100) {
    totalCount considered { nCircuits nUnits countedBy }
    nodes { nCircuits nConsidered mean sd signConsistency source { id } target { id } } } }"""
SHARING = """
query ($f: [ID!]!, $among: CircuitSet, $by: CountBy) {
  circuitsSharing(features: $f, among: $among, countBy: $by, first: 1) {
    totalCount nUnits considered { nCircuits nUnits countedBy } } }"""


def shared(circuits, inside, outside, by):
    """outside: None for all others."""
    unit = unit_of(circuits, by)
    sets = {circuit.transcoders.id for circuit in inside}
    within = {unit[circuit.id] for circuit in inside}
    everyone = outside is None
    if outside is None:
        outside = [c for c in circuits if c.transcoders.id in sets and unit[c.id] not in within]
    ours, theirs = in_units(inside, unit), in_units(outside, unit)
    mean = mean_of(influences_of)
    ours_have, theirs_have = [mean(each) for each in ours], [mean(each) for each in theirs]
    nodes = {}
    for feature in {name for each in ours_have for name in each}:
        with_it = [each[feature] for each in ours_have if feature in each]
        n_out = sum(feature in each for each in theirs_have)
        could, could_out = (
            sum(any(same_set(c, feature) for c in u) for u in units) for units in (ours, theirs)
        )
        counts = Counts(len(with_it), could, n_out, could_out)
        nodes[feature] = {
            "nCircuits": len(with_it),
            "nConsidered": could,
            "meanInfluence": math.fsum(with_it) / len(with_it),
            "nCircuitsOutside": n_out,
            "nConsideredOutside": could_out,
            "lift": len(with_it) / could / (n_out / could_out) if n_out else None,
            "pValue": p_values([counts])[counts],
        }
    return {
        "totalCount": len(nodes),
        "nTested": len(
            {name for each in (*ours_have, *theirs_have) for name in each if name.rsplit("/", 2)[0] in sets}
        ),
        "nOnBothSides": 0 if everyone else len(within & {unit[c.id] for c in outside}),
        "considered": {"nCircuits": len(inside), "nUnits": len(ours), "countedBy": by},
        "outside": {"nUnits": len(theirs), "countedBy": by},
    }, nodes


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("part", ["family", "named", "absent", "both"])
async def test_shared_features(api, near, circuits, by, part):
    absent = None
    if part == "named":  # of two circuits of one prompt, one is inside
        inside, asked = circuits[:5], {"circuits": [circuit.id for circuit in circuits[:5]]}
        outside = None
    else:
        inside, asked = of_family(circuits, "arithmetic"), {"families": ["arithmetic"]}
        outside = None
    if part == "absent":
        outside = of_family(circuits, "capitals")
        absent = {"families": ["capitals"], "maxCircuits": 1000}
    if part == "both":  # one prompt under two settings, on both sides
        inside, outside = circuits[:6], circuits[12:18]
        asked = {"circuits": [circuit.id for circuit in inside]}
        absent = {"circuits": [circuit.id for circuit in outside], "maxCircuits": 1000}
    expected, nodes = shared(circuits, inside, outside, by)
    found = (await api(SHARED, by=by, order="LIFT", absent=absent, **asked))["sharedFeatures"]
    rows = {row.pop("feature")["id"]: row for row in found.pop("nodes")}
    assert found == expected
    assert rows == near({name: nodes[name] for name in rows})
    assert len(rows) == min(100, len(nodes)) > 20
    by_p = (await api(SHARED, by=by, order="P_VALUE", absent=absent, **asked))["sharedFeatures"]["nodes"]
    assert [row["pValue"] for row in by_p] == near(sorted(row["pValue"] for row in nodes.values())[:100])


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("both", [False, True])
async def test_contrast(api, near, circuits, by, both):
    if both:
        positive, negative = circuits[:6], circuits[12:18]
    else:
        positive, negative = of_family(circuits, "arithmetic"), of_family(circuits, "capitals", "antonyms")
    unit = unit_of(circuits, by)
    parts = {"features": "feature { id }", "edges": "source { id } target { id }", "supernodes": "label"}
    found = (
        await api(
            """query ($p: CircuitSet!, $n: CircuitSet!, $by: CountBy) {
                 contrast(positive: $p, negative: $n, countBy: $by) {
                   nOnBothSides positive { nCircuits nUnits } negative { nCircuits nUnits countedBy } """
            + " ".join(
                f"{part}(minCircuits: 2, first: 100) {{ totalCount nodes {{ {names} {FACTS} }} }}"
                for part, names in parts.items()
            )
            + " } }",
            p={"circuits": [circuit.id for circuit in positive]},
            n={"circuits": [circuit.id for circuit in negative]},
            by=by,
        )
    )["contrast"]
    ours, theirs = in_units(positive, unit), in_units(negative, unit)

    def could(circuits, name):
        return any(same_set(circuit, name) for circuit in circuits)

    def grouped(circuits, _):
        return any(circuit.supernodes for circuit in circuits)

    for part, values, able, absent in (
        ("features", influences_of, could, -1.0),
        ("edges", effects, could, 0.0),
        ("supernodes", supernode_values, grouped, -1.0),
    ):
        expected = contrasted(ours, theirs, mean_of(values), able, 2, absent)
        answer = found.pop(part)
        assert answer["totalCount"] == len(expected) > 0, part
        rows = {}
        for row in answer["nodes"]:
            names = [row.pop(key) for key in ("feature", "source", "target", "label") if key in row]
            ids = tuple(name if isinstance(name, str) else name["id"] for name in names)
            rows[ids if len(ids) > 1 else ids[0]] = row
        assert rows == near({name: expected[name] for name in rows}), part
    assert found == {
        "nOnBothSides": len({unit[c.id] for c in positive} & {unit[c.id] for c in negative}),
        "positive": {"nCircuits": len(positive), "nUnits": len(ours)},
        "negative": {"nCircuits": len(negative), "nUnits": len(theirs), "countedBy": by},
    }


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("families", [None, ["arithmetic"], ["arithmetic", "capitals"]])
async def test_recurring_edges(api, near, circuits, by, families):
    considered = circuits if families is None else of_family(circuits, *families)
    units = in_units(considered, unit_of(circuits, by))
    both, expected = having(units), {}
    for pair, weights in effects_of_units(units).items():
        mean = math.fsum(weights) / len(weights)
        positive, negative = sum(w > 0 for w in weights), sum(w < 0 for w in weights)
        if len(weights) >= 2:
            expected[pair] = {
                "nCircuits": len(weights),
                "nConsidered": both[pair],
                "mean": mean,
                "sd": math.sqrt(math.fsum((w - mean) ** 2 for w in weights) / len(weights)),
                "signConsistency": max(positive, negative) / len(weights),
            }
    orders = {
        "CIRCUITS": lambda row: -row["nCircuits"],
        "WEIGHT": lambda row: -abs(row["mean"]),
        "SHARE": lambda row: -row["nCircuits"] / row["nConsidered"],
    }
    for order, place in orders.items():
        found = (
            await api(
                RECURRING,
                families=families,
                order=order,
                by=by,
            )
        )["recurringEdges"]
        rows = {(row.pop("source")["id"], row.pop("target")["id"]): row for row in found.pop("nodes")}
        assert found == {
            "totalCount": len(expected),
            "considered": {"nCircuits": len(considered), "nUnits": len(units), "countedBy": by},
        }
        assert rows == near({pair: expected[pair] for pair in rows})
        assert [place(row) for row in rows.values()] == near(sorted(map(place, expected.values()))[:100])
    assert len(expected) > 3


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("among", [None, {"families": ["arithmetic"]}])
async def test_circuits_sharing(api, circuits, by, among):
    feature = popular(circuits, 1)[0]
    found = (
        await api(
            SHARING,
            f=[feature],
            among=among,
            by=by,
        )
    )["circuitsSharing"]
    considered = [
        c for c in circuits if same_set(c, feature) and (among is None or c.prompt.family == "arithmetic")
    ]
    sharing, unit = [c for c in considered if feature in influences_of(c)], unit_of(circuits, by)
    assert found == {
        "totalCount": len(sharing),
        "nUnits": len({unit[c.id] for c in sharing}),
        "considered": {
            "nCircuits": len(considered),
            "nUnits": len({unit[c.id] for c in considered}),
            "countedBy": by,
        },
    }


async def every_page(api, field, query, first, **asked):
    """The answer with the nodes of all pages."""
    found = (await api(query, first=first, **asked))[field]
    page = found.pop("pageInfo")
    while page["hasNextPage"]:
        more = (await api(query, first=first, after=page["endCursor"], **asked))[field]
        page = more.pop("pageInfo")
        found["nodes"] += more.pop("nodes")
        assert more == {name: value for name, value in found.items() if name != "nodes"}
    return found


MOTIFS = """
query ($shape: MotifShape!, $among: CircuitSet, $by: CountBy, $first: Int!, $after: String) {
  motifs(minSupport: 2, shape: $shape, among: $among, countBy: $by, first: $first, after: $after) {
    totalCount truncated nEffects nCombined considered { nCircuits nUnits countedBy }
    pageInfo { hasNextPage endCursor }
    nodes { nCircuits product direct signConsistency token first { id } second { id } third { id } } } }"""

SETS = [
    None,  # all circuits
    {"families": ["arithmetic"]},
    {"families": ["arithmetic", "antonyms"]},
    {"transcoders": [OTHER_SET.name]},
]


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("among", SETS)
@pytest.mark.parametrize("shape", ["CHAIN", "TRIANGLE", "OUTPUT"])
async def test_motifs(api, near, circuits, shape, among, by, monkeypatch):
    considered, unit = in_set(circuits, among), unit_of(circuits, by)
    for strong in (5000, 20):
        monkeypatch.setattr("api.questions.motifs.STRONG_EFFECTS", strong)
        often = recurring(considered, 2, unit)
        expected = motifs(considered, {*often[:strong]}, 2, shape, unit)
        found = await every_page(api, "motifs", MOTIFS, 40, shape=shape, among=among, by=by)
        rows = {}
        for row in found.pop("nodes"):
            third = row.pop("third")
            key = (row.pop("first")["id"], row.pop("second")["id"], third and third["id"], row.pop("token"))
            rows[key] = row
        assert found == {
            "totalCount": len(expected),
            "truncated": len(often) > strong,
            "nEffects": len(often),
            "nCombined": min(strong, len(often)),
            "considered": {
                "nCircuits": len(considered),
                "nUnits": len({unit[circuit.id] for circuit in considered}),
                "countedBy": by,
            },
        }
        assert rows == near(expected)
        places = [(-row["nCircuits"], -abs(row["product"])) for row in rows.values()]
        assert places == near(sorted(places))


DRIVES_LOGIT = """
query ($tokens: [String!]!, $among: CircuitSet, $least: Int!, $by: CountBy, $first: Int!, $after: String) {
  drivesLogit(tokens: $tokens, among: $among, minCircuits: $least, countBy: $by, first: $first,
              after: $after) {
    totalCount nWithLogit nUnitsWithLogit considered { nCircuits nUnits countedBy }
    pageInfo { hasNextPage endCursor }
    nodes { nCircuits nConsidered mean sum share nPromotes nSuppresses signConsistency feature { id } } } }"""


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("least", [1, 2])
@pytest.mark.parametrize("among", SETS)
async def test_drives_logit(api, near, circuits, among, least, by):
    considered, unit = in_set(circuits, among), unit_of(circuits, by)
    # Some circuits have the first; all have the second.
    for tokens in (["city0", "city1", "18"], ["something else"]):
        having, drive = drivers(considered, tokens, [], unit)
        expected = {feature: row for feature, row in drive.items() if row["nCircuits"] >= least}
        asked = {"tokens": tokens, "among": among, "least": least, "by": by}
        found = await every_page(api, "drivesLogit", DRIVES_LOGIT, 7, **asked)
        rows = {row.pop("feature")["id"]: row for row in found.pop("nodes")}
        assert found == {
            "totalCount": len(expected),
            "nWithLogit": len(having),
            "nUnitsWithLogit": len({unit[circuit.id] for circuit in having}),
            "considered": {
                "nCircuits": len(considered),
                "nUnits": len({unit[circuit.id] for circuit in considered}),
                "countedBy": by,
            },
        }
        assert rows == near(expected)
        assert [row["mean"] for row in rows.values()] == near(
            sorted((row["mean"] for row in expected.values()), reverse=True)
        )


@pytest.mark.parametrize("by", BY)
async def test_each_way_of_counting_differs(circuits, by):
    """The records above tell the ways of counting apart."""
    counts = {each: len(recurring(circuits, 2, unit_of(circuits, each))) for each in BY}
    assert counts["CIRCUITS"] > counts["PROMPTS"] > counts["CLUSTERS"] > 0


async def test_circuits_of_distinct_prompts_are_counted_alike(api: Api, circuits):
    """Prompts are counted unless the question says otherwise; for such circuits this changes nothing."""
    named = [circuit.id for circuit in circuits[6:12]]
    others = {"circuits": [circuit.id for circuit in circuits[:6]], "maxCircuits": 1000}
    text = SHARED.replace("nUnits countedBy", "nUnits")
    answers = [
        await api(
            text.replace("countBy: $by,", by).replace(", $by: CountBy", ""),
            circuits=named,
            absent=others,
            order="SUPPORT",
        )
        for by in ("", "countBy: CIRCUITS,", "countBy: PROMPTS,")
    ]
    assert answers[0] == answers[1] == answers[2]
