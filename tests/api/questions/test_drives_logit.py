"""Features that act on logits, compared with plain loops over the records."""

import math
from collections import defaultdict

import pytest

from schema.circuit.records import Circuit, NodeKind
from tests.api.questions.test_structure import in_set
from tests.support.circuits import feature_id

QUERY = """
query ($tokens: [String!], $ids: [Int!], $among: CircuitSet, $least: Int!, $order: DriverOrder!) {
  drivesLogit(countBy: CIRCUITS, tokens: $tokens, tokenIds: $ids, among: $among, minCircuits: $least,
              orderBy: $order, first: 100) {
    totalCount nWithLogit considered { nCircuits } mixedSettings
    nodes { nCircuits nConsidered mean sum share nPromotes nSuppresses signConsistency feature { id } } } }"""


def drivers(considered, tokens, ids, unit=None):
    """Feature → what drivesLogit should say, and the circuits that have such a logit.

    unit: circuit id → its unit; None: each circuit is one.
    """
    unit = unit or {circuit.id: circuit.id for circuit in considered}
    having: list[Circuit] = []
    weights: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    shares: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for circuit in considered:
        logits = {
            place
            for place, node in enumerate(circuit.nodes)
            if node.kind is NodeKind.LOGIT and (node.token in tokens or node.index in ids)
        }
        if not logits:
            continue
        having.append(circuit)
        edges = defaultdict(list)
        for edge in circuit.edges:
            if edge.target in logits and circuit.nodes[edge.source].kind is NodeKind.FEATURE:
                edges[feature_id(circuit, circuit.nodes[edge.source])].append(edge)
        for feature, each in edges.items():
            weights[feature][unit[circuit.id]].append(math.fsum(edge.weight for edge in each))
            if all(edge.share is not None for edge in each):
                share = math.fsum(edge.share for edge in each) / len({edge.target for edge in each})
                shares[feature][unit[circuit.id]].append(share)
    of_set: dict[str, set[str]] = defaultdict(set)
    for circuit in having:
        of_set[circuit.transcoders.id].add(unit[circuit.id])
    answer = {}
    for feature, found in weights.items():
        each, known = ([mean(values) for values in by.values()] for by in (found, shares[feature]))
        answer[feature] = {
            "nCircuits": len(each),
            "nConsidered": len(of_set[feature.rsplit("/", 2)[0]]),
            "mean": mean(each),
            "sum": math.fsum(each),
            "share": mean(known) if known else None,
            "nPromotes": sum(weight > 0 for weight in each),
            "nSuppresses": sum(weight < 0 for weight in each),
            "signConsistency": max(sum(w > 0 for w in each), sum(w < 0 for w in each)) / len(each),
        }
    return having, answer


def mean(values):
    return math.fsum(values) / len(values)


@pytest.mark.parametrize("order", ["PROMOTES", "SUPPRESSES", "ABSOLUTE"])
@pytest.mark.parametrize(
    ("tokens", "ids", "among", "least"),
    [
        (["something else"], None, None, 2),
        (["something else"], [7], None, 1),
        (None, [7], {"families": ["capitals"], "transcoders": ["made-up-clt"]}, 1),
        (["something else", "city2"], None, {"tags": ["two-hop"]}, 1),
    ],
)
async def test_drives_logit(api, near, circuits, tokens, ids, among, least, order):
    considered = in_set(circuits, among)
    having, everything = drivers(considered, tokens or [], ids or [])
    expected = {feature: row for feature, row in everything.items() if row["nCircuits"] >= least}
    data = await api(QUERY, tokens=tokens, ids=ids, among=among, least=least, order=order)
    answer = data["drivesLogit"]
    assert answer["totalCount"] == len(expected) > 3
    assert any(row["nSuppresses"] for row in expected.values())
    assert (answer["nWithLogit"], answer["considered"]["nCircuits"]) == (len(having), len(considered))
    place = {
        "PROMOTES": lambda row: -row["mean"],
        "SUPPRESSES": lambda row: row["mean"],
        "ABSOLUTE": lambda row: -abs(row["mean"]),
    }[order]
    rows = sorted((place(row), -row["nCircuits"], feature) for feature, row in expected.items())[:100]
    found = {node.pop("feature")["id"]: node for node in answer["nodes"]}
    assert [place(row) for row in found.values()] == near([row[0] for row in rows])
    assert found == near({feature: expected[feature] for feature in found})


async def test_the_text_of_a_token_is_exact(api, circuits):
    asked = {"least": 1, "order": "PROMOTES"}
    for text in (" something else", "Something else", "something", "nothing"):
        answer = (await api(QUERY, tokens=[text], **asked))["drivesLogit"]
        assert (answer["totalCount"], answer["nWithLogit"], answer["nodes"]) == (0, 0, [])
    assert (await api.error(QUERY, **asked))[0] == "BAD_INPUT"
    assert (await api.error(QUERY, tokens=[], **asked))[0] == "BAD_INPUT"
    assert (await api.error(QUERY, tokens=["x"], **asked | {"least": 0}))[0] == "BAD_INPUT"
    assert (await api.error(QUERY, tokens=["x"], among={"transcoders": ["y"]}, **asked))[0] == "NOT_FOUND"
