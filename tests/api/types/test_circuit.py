"""A circuit and lists of circuits, with everything that belongs to them, compared with the records."""

import math
from typing import Any

import pytest

from api.request.limits import Limits
from schema.circuit.records import NodeKind
from tests.support.circuits import RUN, TRANSCODERS, effects, uses


async def test_circuit(api, near, circuits):
    circuit = circuits[0]
    data = await api(
        """query ($id: ID!) { circuit(id: $id) {
          id target targetPosition answer answerProbability correct
          replacementScore completenessScore errorShare nodeThreshold edgeThreshold maxFeatureNodes dtype
          specialFirstToken nActiveFeatures nSelectedFeatures
          keptInfluence nNodes nEdges
          prompt { id text tokens tokenIds expected split pair family tags }
          transcoders { id model { id } } run { id } } }""",
        id=circuit.id,
    )
    prompt = circuit.prompt
    assert data["circuit"] == {
        "id": circuit.id,
        "target": circuit.target,
        "targetPosition": circuit.target_position,
        "answer": circuit.answer.token,
        "answerProbability": circuit.answer.probability,
        "correct": circuit.correct,
        "replacementScore": circuit.replacement_score,
        "completenessScore": circuit.completeness_score,
        "errorShare": circuit.error_share,
        "nodeThreshold": circuit.node_threshold,
        "edgeThreshold": circuit.edge_threshold,
        "maxFeatureNodes": None,
        "dtype": circuit.dtype,
        "specialFirstToken": True,
        "nActiveFeatures": circuit.n_active_features,
        "nSelectedFeatures": circuit.n_selected_features,
        "keptInfluence": circuit.kept_influence,
        "nNodes": len(circuit.nodes),
        "nEdges": len(circuit.edges),
        "prompt": {
            "id": prompt.id,
            "text": prompt.text,
            "tokens": list(prompt.tokens),
            "tokenIds": list(prompt.token_ids),
            "expected": prompt.expected,
            "split": prompt.split,
            "pair": prompt.pair,
            "family": prompt.family,
            "tags": sorted(prompt.tags),
        },
        "transcoders": {"id": circuit.transcoders.id, "model": {"id": circuit.model.id}},
        "run": {"id": RUN.id},
    }


@pytest.mark.parametrize("kind", [None, *NodeKind])
async def test_nodes_of_a_circuit(api, near, circuits, kind):
    circuit = circuits[1]
    data = await api(
        """query ($id: ID!, $kind: NodeKind) { circuit(id: $id) {
             nodes(kind: $kind, first: 100) { totalCount nodes {
             id kind layer position positionFromEnd index activation influence cumulative token probability
             feature { id } } } } }""",
        id=circuit.id,
        kind=None if kind is None else kind.name,
    )
    expected = [
        {
            "id": f"{circuit.id}/{node.key}",
            "kind": node.kind.name,
            "layer": node.layer,
            "position": node.position,
            "positionFromEnd": len(circuit.prompt.tokens) - 1 - node.position,
            "index": None if node.index is None else str(node.index),
            "activation": node.activation,
            "influence": node.influence,
            "cumulative": node.cumulative,
            "token": node.token,
            "probability": node.probability,
            "feature": {"id": circuit.transcoders.feature_id(node.layer, node.index)}
            if node.kind is NodeKind.FEATURE
            else None,
        }
        for node in circuit.nodes
        if kind in (None, node.kind)
    ]
    expected.sort(key=lambda node: (-node["influence"], node["id"]))
    assert data["circuit"]["nodes"] == {"totalCount": len(expected), "nodes": expected}


@pytest.mark.parametrize(("source", "target"), [(None, None), ("FEATURE", "LOGIT"), ("TOKEN", None)])
async def test_edges_of_a_circuit(api, near, circuits, source, target):
    circuit = circuits[2]
    data = await api(
        """query ($id: ID!, $source: NodeKind, $target: NodeKind) { circuit(id: $id) {
             edges(sourceKind: $source, targetKind: $target, first: 100) {
               totalCount edges { node { weight share source { id } target { id } } } } } }""",
        id=circuit.id,
        source=source,
        target=target,
    )
    ends = [(circuit.nodes[edge.source], circuit.nodes[edge.target], edge) for edge in circuit.edges]
    expected = [
        {
            "weight": edge.weight,
            "share": edge.share,
            "source": {"id": f"{circuit.id}/{start.key}"},
            "target": {"id": f"{circuit.id}/{end.key}"},
        }
        for start, end, edge in ends
        if source in (None, start.kind.name) and target in (None, end.kind.name)
    ]
    expected.sort(key=lambda each: (-abs(each["weight"]), each["source"]["id"], each["target"]["id"]))
    answer = data["circuit"]["edges"]
    assert answer["totalCount"] == len(expected) > 0
    assert [edge["node"] for edge in answer["edges"]] == expected[:100]


async def test_supernode_graph(api, near, circuits):
    circuit = circuits[3]
    data = await api(
        """query ($id: ID!) { circuit(id: $id) {
             features(first: 100) { totalCount nodes { feature { id } } }
             supernodes { totalCount nodes { label influence members { id } } }
             supernodeEdges { weight nEffects source { label } target { label } } } }""",
        id=circuit.id,
    )
    names = sorted(
        circuit.supernodes, key=lambda each: (-1 if each.position is None else each.position, each.label)
    )
    assert data["circuit"]["supernodes"] == near(
        {
            "totalCount": len(names),
            "nodes": [
                {
                    "label": each.label,
                    "influence": math.fsum(circuit.nodes[place].influence for place in each.members),
                    "members": [
                        {"id": f"{circuit.id}/{node.key}"}
                        for node in sorted(
                            (circuit.nodes[place] for place in each.members), key=lambda node: -node.influence
                        )
                    ],
                }
                for each in names
            ],
        }
    )
    merged = {}
    for source in circuit.supernodes:
        for target in circuit.supernodes:
            weights = [
                e.weight for e in circuit.edges if e.source in source.members and e.target in target.members
            ]
            if weights and source is not target:
                merged[source.label, target.label] = (round(math.fsum(weights), 9), len(weights))
    assert merged
    assert {
        (edge["source"]["label"], edge["target"]["label"]): (round(edge["weight"], 9), edge["nEffects"])
        for edge in data["circuit"]["supernodeEdges"]
    } == merged
    used = {feature for _, feature in uses([circuit])}
    assert {each["feature"]["id"] for each in data["circuit"]["features"]["nodes"]} == used
    assert {name for pair in effects(circuit) for name in pair} <= used


CIRCUITS = """
query ($filter: CircuitFilter, $order: CircuitOrder!) {
  circuits(filter: $filter, orderBy: $order, first: 100) { totalCount nodes { id } } }"""


@pytest.mark.parametrize(
    ("given", "fits"),
    [
        ({}, lambda c: True),
        ({"families": ["capitals", "antonyms"]}, lambda c: c.prompt.family in ("capitals", "antonyms")),
        (
            {"families": ["capitals", "antonyms"], "tags": ["easy"]},
            lambda c: c.prompt.family in ("capitals", "antonyms") and "easy" in c.prompt.tags,
        ),
        ({"tags": ["easy", "numbers"]}, lambda c: {"easy", "numbers"} <= set(c.prompt.tags)),
        ({"tags": ["two-hop", "numbers"], "tagMode": "ANY"}, lambda c: c.prompt.family != "antonyms"),
        ({"text": "lake CAPI"}, lambda c: "lake" in c.prompt.text),
        ({"answer": "city2"}, lambda c: c.answer.token == "city2"),
        ({"correct": True}, lambda c: c.correct is True),
        ({"correct": False, "split": "train"}, lambda c: c.correct is False and c.prompt.split == "train"),
        ({"minReplacementScore": 0.6}, lambda c: c.replacement_score >= 0.6),
        ({"minCompletenessScore": 0.9}, lambda c: c.completeness_score >= 0.9),
        ({"maxErrorShare": 0.2}, lambda c: c.error_share <= 0.2),
        ({"transcoders": "made-up-plt"}, lambda c: c.transcoders.name == "made-up-plt"),
        ({"transcoders": TRANSCODERS.id, "model": "made-up"}, lambda c: c.transcoders == TRANSCODERS),
        ({"model": "another"}, lambda c: False),
        ({"pair": "pair 1"}, lambda c: c.prompt.pair == "pair 1"),
        ({"split": "held-out"}, lambda c: c.prompt.split == "held-out"),
    ],
)
async def test_circuits(api, near, circuits, given, fits):
    expected = [circuit for circuit in circuits if fits(circuit)]
    expected.sort(key=lambda c: (c.prompt.family, c.prompt.text, c.id))
    data = await api(CIRCUITS, filter=given, order="FAMILY")
    assert data["circuits"] == {"totalCount": len(expected), "nodes": [{"id": c.id} for c in expected]}


@pytest.mark.parametrize(
    ("order", "place"),
    [
        ("REPLACEMENT_SCORE", lambda c: -c.replacement_score),
        ("COMPLETENESS_SCORE", lambda c: -c.completeness_score),
        ("ERROR_SHARE", lambda c: c.error_share),
    ],
)
async def test_circuits_in_order(api, near, circuits, order, place):
    expected = sorted(circuits, key=lambda c: (place(c), c.prompt.family, c.prompt.text, c.id))
    data = await api(CIRCUITS, order=order)
    assert [node["id"] for node in data["circuits"]["nodes"]] == [circuit.id for circuit in expected]


async def test_pages_of_all_circuits(api, circuits):
    expected = [c.id for c in sorted(circuits, key=lambda c: (c.prompt.family, c.prompt.text, c.id))]
    found, after = [], None
    while True:
        data = await api(
            "query ($a: String) { circuits(first: 7, after: $a) { totalCount nodes { id } "
            "pageInfo { hasNextPage endCursor } } }",
            a=after,
        )
        page = data["circuits"]
        assert page["totalCount"] == len(expected)
        found += [node["id"] for node in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert found == expected


async def test_what_does_not_exist_is_null(api):
    data = await api('{ circuit(id: "none") { id } feature(id: "none/0/0") { id } }')
    assert data == {"circuit": None, "feature": None}


async def test_a_whole_graph(api, near, circuits):
    for circuit in circuits[:8]:
        data = await api(
            """query ($id: ID!) { circuit(id: $id) { graph { sources targets weights
                 nodes { id kind layer position positionFromEnd index activation influence token probability
                         feature label } }
                 features(first: 100) { nodes { feature { id labels { text } } } } } }""",
            id=circuit.id,
        )
        graph = data["circuit"]["graph"]
        labels = {
            use["feature"]["id"]: next((label["text"] for label in use["feature"]["labels"]), None)
            for use in data["circuit"]["features"]["nodes"]
        }
        assert [n["label"] for n in graph["nodes"]] == [labels.get(n["feature"]) for n in graph["nodes"]]
        nodes = [
            {
                "kind": node.kind.name,
                "layer": node.layer,
                "position": node.position,
                "positionFromEnd": len(circuit.prompt.tokens) - 1 - node.position,
                "index": None if node.index is None else str(node.index),
                "activation": node.activation,
                "influence": node.influence,
                "token": node.token,
                "probability": node.probability,
            }
            for node in circuit.nodes
        ]
        found = [{key: node[key] for key in nodes[0]} for node in graph["nodes"]]

        def key(node: dict[str, Any]) -> tuple[str, ...]:
            return tuple(str(node[name]) for name in ("kind", "layer", "position", "index"))

        assert sorted(found, key=key) == near(sorted(nodes, key=key))
        assert [(n["layer"], n["position"], n["id"]) for n in graph["nodes"]] == sorted(
            (n["layer"], n["position"], n["id"]) for n in graph["nodes"]
        )
        for node in graph["nodes"]:
            assert (node["feature"] is not None) == (node["kind"] == "FEATURE")
            if node["feature"] is not None:
                assert node["feature"].endswith(f"/{node['layer']}/{node['index']}")
        place = {(n["kind"], n["layer"], n["position"], n["index"]): i for i, n in enumerate(graph["nodes"])}
        places = [place[n["kind"], n["layer"], n["position"], n["index"]] for n in nodes]
        edges = sorted((places[e.target], places[e.source], e.weight) for e in circuit.edges)
        told = zip(graph["targets"], graph["sources"], graph["weights"], strict=True)
        assert [list(each) for each in told] == near([list(each) for each in edges])


async def test_whole_graphs_count_as_rows(api_with, circuits):
    asked = "query ($id: ID!) { circuit(id: $id) { graph { weights } } }"
    code, message, _ = await api_with(Limits(rows=len(circuits[0].nodes))).error(asked, id=circuits[0].id)
    assert (code, "rows" in message) == ("OVER_LIMIT", True)
