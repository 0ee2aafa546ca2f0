"""Recurring effects, paths and motifs, compared with plain loops over the records."""

import math
from collections import Counter, defaultdict
from typing import Any

import pytest

from schema.circuit.records import NodeKind
from tests.support.choosing import of_family
from tests.support.circuits import drives, effects, feature_id, uses

RECURRING = """
query ($families: [String!], $transcoders: [String!], $order: EffectOrder!, $least: Int!,
       $consistency: Float!) {
  recurringEdges(countBy: CIRCUITS, families: $families, transcoders: $transcoders, orderBy: $order,
                 minCircuits: $least, signConsistency: $consistency, first: 100) {
    totalCount
    nodes { nCircuits nConsidered mean sd signConsistency source { id } target { id } } } }"""


@pytest.mark.parametrize("order", ["CIRCUITS", "WEIGHT", "SHARE"])
@pytest.mark.parametrize(
    "among",
    [
        {},
        {"families": ["capitals", "antonyms"]},
        {"transcoders": ["made-up-clt"]},
        {"transcoders": ["made-up-plt"]},
        {"families": ["arithmetic"], "transcoders": ["made-up-clt"]},
    ],
)
async def test_recurring_edges(api, near, circuits, among, order):
    least = 2 if "families" in among or among == {"transcoders": ["made-up-plt"]} else 4
    data = await api(RECURRING, **among, order=order, least=least, consistency=0.9)
    considered = in_set(circuits, among)
    having = defaultdict(set)
    for circuit, feature in uses(considered):
        having[feature].add(circuit)
    expected = {
        pair: {
            "nCircuits": drive.n_circuits,
            "nConsidered": len(having[pair[0]] & having[pair[1]]),
            "mean": drive.mean,
            "sd": drive.sd,
            "signConsistency": drive.sign_consistency,
        }
        for pair, drive in drives(considered).items()
        if drive.n_circuits >= least and drive.sign_consistency >= 0.9
    }
    nodes = data["recurringEdges"]["nodes"]
    assert data["recurringEdges"]["totalCount"] == len(expected) > 1
    found = {(node.pop("source")["id"], node.pop("target")["id"]): node for node in nodes}
    assert found == near({pair: expected[pair] for pair in found})
    place = {
        "CIRCUITS": lambda row: row["nCircuits"],
        "WEIGHT": lambda row: abs(row["mean"]),
        "SHARE": lambda row: row["nCircuits"] / row["nConsidered"],
    }[order]
    assert [place(row) for row in nodes] == near(sorted(map(place, expected.values()), reverse=True)[:100])


PATHS = """
query ($from: PathEnd!, $to: PathEnd!, $circuits: CircuitSet!, $length: Int!, $weight: Float!) {
  paths(from: $from, to: $to, inCircuits: $circuits, maxLength: $length, minWeight: $weight, first: 100) {
    totalCount mixedSettings considered { nCircuits }
    nodes { product flow weights nodes { id } circuit { id } } } }"""


def ends(circuit, end):
    """The places of the nodes that an end of a path names."""
    ((kind, name),) = end.items()
    if kind == "supernode":
        return {i for supernode in circuit.supernodes if supernode.label == name for i in supernode.members}
    return {
        i
        for i, node in enumerate(circuit.nodes)
        if (kind == "feature" and node.kind is NodeKind.FEATURE and feature_id(circuit, node) == name)
        or (kind in ("token", "logit") and node.kind.value == kind and node.token.strip() == name.strip())
    }


def paths(circuit, begin, end, length, least):
    """Every chain of effects, by walking."""
    out = defaultdict(list)
    for edge in circuit.edges:
        if abs(edge.weight) >= least:
            out[edge.source].append(edge)
    targets, found = ends(circuit, end), []
    unfinished = [[edge] for place in ends(circuit, begin) for edge in out[place]]
    while unfinished:
        chain = unfinished.pop()
        if chain[-1].target in targets:
            found.append(chain)
        if len(chain) < length:
            unfinished += [[*chain, edge] for edge in out[chain[-1].target]]
    answer = []
    for chain in found:
        product = math.prod(edge.weight for edge in chain)
        places = [chain[0].source, *(edge.target for edge in chain)]
        answer.append(
            {
                "product": product,
                "flow": math.copysign(math.prod(edge.share for edge in chain), product),
                "weights": [edge.weight for edge in chain],
                "nodes": [{"id": f"{circuit.id}/{circuit.nodes[place].key}"} for place in places],
                "circuit": {"id": circuit.id},
            }
        )
    return answer


@pytest.mark.parametrize(
    ("begin", "end", "length"),
    [
        ({"token": "capital"}, {"logit": "something else"}, 3),
        ({"token": "state"}, {"supernode": "say the answer"}, 2),
        ({"supernode": "capitals words"}, {"logit": "something else"}, 5),
        ({"feature": None}, {"logit": "something else"}, 4),
        ({"token": "no such token"}, {"logit": "something else"}, 3),
    ],
)
async def test_paths(api, near, circuits, begin, end, length):
    family = of_family(circuits, "capitals")[:5]
    if "feature" in begin:
        begin = {"feature": Counter(feature for _, feature in uses(family)).most_common(1)[0][0]}
    expected = [path for circuit in family for path in paths(circuit, begin, end, length, 0.3)]
    if "no such token" not in begin.values():
        assert expected
    expected.sort(key=lambda p: (-abs(p["product"]), len(p["nodes"]), [n["id"] for n in p["nodes"]]))
    data = await api(
        PATHS,
        **{"from": begin},
        to=end,
        circuits={"circuits": [circuit.id for circuit in family]},
        length=length,
        weight=0.3,
    )
    data["paths"].pop("mixedSettings")
    assert data["paths"] == near(
        {"totalCount": len(expected), "considered": {"nCircuits": 5}, "nodes": expected[:100]}
    )


async def test_paths_are_bounded(api, circuits, monkeypatch):
    ask = {"from": {"supernode": "capitals words"}, "to": {"logit": "something else"}, "weight": 0.0}
    among = {"circuits": {"families": ["capitals"]}}
    assert (await api.error(PATHS, **ask, **among, length=6))[0] == "BAD_INPUT"
    monkeypatch.setattr("api.questions.paths.PATH_BOUND", 10)
    code, message, _ = await api.error(PATHS, **ask, **among, length=3)
    assert (code, message) == ("OVER_LIMIT", "There are more than 10 such paths")
    monkeypatch.setattr("api.questions.paths.PATH_CIRCUITS", 3)
    assert (await api.error(PATHS, **ask, **among, length=3))[0] == "OVER_LIMIT"
    both = {"feature": "f", "token": "t"}
    assert (await api.error(PATHS, **{**ask, "from": both}, **among, length=3))[0] == "BAD_QUERY"


MOTIFS = """
query ($support: Int!, $shape: MotifShape!, $among: CircuitSet) {
  motifs(countBy: CIRCUITS, minSupport: $support, shape: $shape, among: $among, first: 100) {
    totalCount truncated nEffects nCombined considered { nCircuits }
    nodes { nCircuits product direct signConsistency token first { id } second { id } third { id } } } }"""


def recurring(considered, support, unit=None):
    """The effects that recur in the circuits of the set, those in the most circuits first.

    unit: circuit id → its unit; None: each circuit is one.
    """
    found = defaultdict(set)
    for circuit in considered:
        for pair in effects(circuit):
            found[pair].add(unit[circuit.id] if unit else circuit.id)
    often = (pair for pair, units in found.items() if len(units) >= support)
    return sorted(often, key=lambda pair: (-len(found[pair]), pair))


def motifs(considered, strong, support, shape, unit=None):
    """(first, second, third, token) → what motifs should say, by walking all chains of two strong effects.

    unit: circuit id → its unit; None: each circuit is one.
    """
    products: dict[Any, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    directs: dict[Any, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for circuit in considered:
        nodes = circuit.nodes
        weights = {(edge.source, edge.target): edge.weight for edge in circuit.edges}
        out = defaultdict(list)
        for edge in circuit.edges:
            out[edge.source].append(edge)
        for one in circuit.edges:
            x, y = nodes[one.source], nodes[one.target]
            if (x.kind, y.kind) != (NodeKind.FEATURE, NodeKind.FEATURE):
                continue
            a, b = feature_id(circuit, x), feature_id(circuit, y)
            if (a, b) not in strong:
                continue
            for two in out[one.target]:
                z, direct = nodes[two.target], weights.get((one.source, two.target))
                key: Any = None
                if shape == "OUTPUT" and z.kind is NodeKind.LOGIT:
                    key, direct = (a, b, None, z.token), None
                elif shape != "OUTPUT" and z.kind is NodeKind.FEATURE:
                    c = feature_id(circuit, z)
                    if (b, c) in strong and (shape == "CHAIN" or direct is not None):
                        key = (a, b, c, None)
                if key:
                    products[key][circuit.id].append(one.weight * two.weight)
                    directs[key][circuit.id] += [] if direct is None else [direct]
    answer = {}
    for key, found in products.items():
        each = means(found, unit)
        direct = means(directs[key], unit)
        if len(each) >= support:
            answer[key] = {
                "nCircuits": len(each),
                "product": math.fsum(each) / len(each),
                "direct": math.fsum(direct) / len(direct) if direct else None,
                "signConsistency": max(sum(v > 0 for v in each), sum(v < 0 for v in each)) / len(each),
            }
    return answer


def means(found, unit):
    """The mean in each unit over its circuits. found: circuit id → numbers to add up; none: no value."""
    sums = defaultdict(list)
    for circuit, values in found.items():
        if values:
            sums[unit[circuit] if unit else circuit].append(math.fsum(values))
    return [math.fsum(each) / len(each) for each in sums.values()]


def in_set(circuits, among):
    """The circuits of a set, by its definition."""
    fits = {
        "families": lambda circuit, names: circuit.prompt.family in names,
        "tags": lambda circuit, names: set(names) <= set(circuit.prompt.tags),
        "circuits": lambda circuit, names: circuit.id in names,
        "transcoders": lambda circuit, names: {circuit.transcoders.id, circuit.transcoders.name} & {*names},
    }
    return [
        each for each in circuits if all(fits[kind](each, names) for kind, names in (among or {}).items())
    ]


@pytest.mark.parametrize("shape", ["CHAIN", "TRIANGLE", "OUTPUT"])
@pytest.mark.parametrize("strong", [5000, 20])
@pytest.mark.parametrize(
    "among",
    [
        None,
        {"families": ["arithmetic"]},
        {"families": ["arithmetic", "antonyms"]},
        {"tags": ["easy"]},
        {"transcoders": ["made-up-plt"]},
        {"families": ["arithmetic"], "transcoders": ["made-up-clt"]},
    ],
)
async def test_motifs(api, near, circuits, shape, strong, among, monkeypatch):
    monkeypatch.setattr("api.questions.motifs.STRONG_EFFECTS", strong)
    considered = in_set(circuits, among)
    often = recurring(considered, 2)
    expected = motifs(considered, {*often[:strong]}, 2, shape)
    data = (await api(MOTIFS, support=2, shape=shape, among=among))["motifs"]
    assert (data["totalCount"], data["truncated"]) == (len(expected), len(often) > strong)
    assert (data["nEffects"], data["nCombined"]) == (len(often), min(strong, len(often)))
    assert data["considered"] == {"nCircuits": len(considered)}
    order = [node["nCircuits"] for node in data["nodes"]]
    assert order == sorted((each["nCircuits"] for each in expected.values()), reverse=True)[:100]
    found = {}
    for node in data["nodes"]:
        third = node.pop("third")
        key = (node.pop("first")["id"], node.pop("second")["id"], third and third["id"], node.pop("token"))
        found[key] = node
    assert found == near({key: expected[key] for key in found})


async def test_motifs_of_a_set_do_not_depend_on_the_other_circuits(api, circuits, monkeypatch):
    monkeypatch.setattr("api.questions.motifs.STRONG_EFFECTS", 20)
    considered = in_set(circuits, {"families": ["arithmetic"]})
    in_all, in_those = ({*recurring(each, 2)[:20]} for each in (circuits, considered))
    own = motifs(considered, in_those, 2, "CHAIN")
    assert len(motifs(considered, in_all, 2, "CHAIN")) < len(own)
    ids = {"circuits": [circuit.id for circuit in considered]}
    for among in (ids, {"families": ["arithmetic"]}):
        answer = (await api(MOTIFS, support=2, shape="CHAIN", among=among))["motifs"]
        assert answer["totalCount"] == len(own)


async def test_motifs_of_what_the_database_does_not_have(api, circuits):
    for among in ({"transcoders": ["nobody"]}, {"families": ["nobody"]}):
        assert (await api.error(MOTIFS, support=2, shape="CHAIN", among=among))[0] == "NOT_FOUND"
    assert (await api.error(MOTIFS, support=1, shape="CHAIN"))[0] == "BAD_INPUT"
