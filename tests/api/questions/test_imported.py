"""Questions about imported circuits: their influence can be unknown, their sets have no revision."""

import json
from collections import Counter
from dataclasses import replace

import pytest

from api.request.limits import Limits
from schema.circuit.records import Circuit, NodeKind
from schema.database import Database
from schema.loading.load import load_circuit
from tests.api.questions.test_structure import in_set
from tests.support.circuits import RUN, feature_id, synthetic_circuits, uses
from tests.support.graph_files import neuronpedia
from tests.support.little_graph import circuit_of


@pytest.fixture(scope="module")
def imported(connection: Database, circuits: list[Circuit]) -> Circuit:
    """A graph of Neuronpedia beside the circuits of the atlas itself."""
    assert circuits
    graph = neuronpedia()
    for node in graph["nodes"]:
        node["influence"] = None
    circuit = circuit_of(graph)
    load_circuit(connection, circuit, RUN)
    return circuit


async def test_every_feature_of_an_import_has_a_presence(api, circuits, imported):
    features = [feature_id(imported, node) for node in imported.nodes if node.kind is NodeKind.FEATURE]
    assert features
    assert not any("@" in feature for feature in features)
    query = """query ($features: [ID!]!) { presence(features: $features) { features {
      feature kept: nCircuits(state: KEPT) other: nCircuits(state: OTHER_SET) } } }"""
    assert (await api(query, features=features))["presence"]["features"] == [
        {"feature": feature, "kept": 1, "other": len(circuits)} for feature in features
    ]
    absent = f"{imported.transcoders.id}/0/4"
    query = query.replace("KEPT", "UNKNOWN")
    (found,) = (await api(query, features=[absent]))["presence"]["features"]
    assert found == {"feature": absent, "kept": 1, "other": len(circuits)}


async def test_influence_that_is_unknown_is_null_in_sharing(api, imported):
    features = [feature_id(imported, node) for node in imported.nodes if node.kind is NodeKind.FEATURE]
    query = """query ($features: [ID!]!) { circuitsSharing(features: $features, mode: ANY) {
      nodes { nFeatures influence circuit { id } uses { influence } } } }"""
    assert (await api(query, features=features))["circuitsSharing"]["nodes"] == [
        {
            "nFeatures": len(features),
            "influence": None,
            "circuit": {"id": imported.id},
            "uses": [{"influence": None}] * len(features),
        }
    ]


async def test_features_link_to_their_pages(api, circuits, imported):
    query = "query ($id: ID!) { feature(id: $id) { neuronpediaUrl transcoders { neuronpedia } } }"
    pages = "gemma-2-2b/gemmascope-transcoder-16k"
    assert (await api(query, id=f"{imported.transcoders.id}/0/3"))["feature"] == {
        "neuronpediaUrl": "https://www.neuronpedia.org/gemma-2-2b/0-gemmascope-transcoder-16k/3",
        "transcoders": {"neuronpedia": pages},
    }
    ours = next(feature_id(circuits[0], n) for n in circuits[0].nodes if n.kind is NodeKind.FEATURE)
    assert (await api(query, id=ours))["feature"] == {
        "neuronpediaUrl": None,
        "transcoders": {"neuronpedia": None},
    }


@pytest.fixture(scope="module")
def unmeasured(connection: Database, imported: Circuit) -> Circuit:
    """A circuit of unknown influence, in a family of its own; other circuits know some of its features."""
    (circuit,) = synthetic_circuits(1, seed=5)
    circuit = replace(
        circuit,
        node_threshold=0.7,
        prompt=replace(circuit.prompt, text="An unmeasured prompt", family="unmeasured"),
        nodes=tuple(replace(node, influence=None) for node in circuit.nodes),
        labels=(),
        supernodes=(),
    )
    load_circuit(connection, circuit, RUN)
    return circuit


HUBS = """query ($families: [String!], $transcoders: [String!], $least: Int!, $dense: Boolean, $first: Int) {
  hubs(by: INFLUENCE, families: $families, transcoders: $transcoders, minCircuits: $least, dense: $dense,
       denseAbove: 0.3, countBy: CIRCUITS, first: $first) {
    totalCount unknownInfluence nodes { influence feature { id } } } }"""


def known(circuits, least=1, dense=None):
    """Feature → whether its influence is known in one of these circuits, for the features that HUBS lists."""
    found: dict[str, list[float | None]] = {}
    for (_, feature), use in uses(circuits).items():
        found.setdefault(feature, []).append(use.influence)
    n_of_set = Counter(circuit.transcoders.id for circuit in circuits)
    return {
        feature: any(influence is not None for influence in each)
        for feature, each in found.items()
        if len(each) >= least and dense in (None, len(each) / n_of_set[feature.rsplit("/", 2)[0]] > 0.3)
    }


@pytest.mark.parametrize(("dense", "least"), [(None, 1), (True, 1), (False, 2)])
@pytest.mark.parametrize(
    "among",
    [
        {},
        {"families": ["unmeasured"]},
        {"families": ["unmeasured", "capitals"]},
        {"transcoders": ["made-up-plt"]},
        {"transcoders": ["made-up-clt"], "families": ["unmeasured", "arithmetic"]},
    ],
)
async def test_hubs_of_unknown_influence_are_counted(
    api, circuits, imported, unmeasured, among, least, dense
):
    listed = known(in_set([*circuits, imported, unmeasured], among), least, dense)
    hubs = (await api(HUBS, **among, least=least, dense=dense, first=1))["hubs"]
    assert (hubs["totalCount"], hubs["unknownInfluence"]) == (len(listed), [*listed.values()].count(False))


@pytest.mark.parametrize("least", [1, 2])
async def test_contrasted_features_of_unknown_influence_are_counted(
    api, circuits, imported, unmeasured, least
):
    query = """query ($a: CircuitSet!, $b: CircuitSet!, $least: Int!, $order: ContrastOrder!) {
      contrast(positive: $a, negative: $b, countBy: CIRCUITS) {
        features(minCircuits: $least, orderBy: $order, first: 1) { totalCount unknownInfluence } } }"""
    sides = {"a": {"families": ["unmeasured"]}, "b": {"families": ["capitals"]}}
    listed = known(in_set([*circuits, imported, unmeasured], {"families": ["unmeasured", "capitals"]}), least)
    for order, n_unknown in (
        ("SEPARATION", [*listed.values()].count(False)),
        ("AUROC", [*listed.values()].count(False)),
        ("LIFT", None),
    ):
        found = (await api(query, **sides, least=least, order=order))["contrast"]["features"]
        assert found == {"totalCount": len(listed), "unknownInfluence": n_unknown}
    assert len(set(listed.values())) == 2 or least == 2


async def test_hubs_of_unknown_influence_come_last(api_with, circuits, unmeasured):
    among = {"families": ["unmeasured", "capitals"]}
    listed = known(in_set([*circuits, unmeasured], among))
    whole = api_with(Limits(timeout_s=120.0, page_size=len(listed)))
    hubs = (await whole(HUBS, **among, least=1, first=len(listed)))["hubs"]["nodes"]
    assert {each["feature"]["id"]: each["influence"] is not None for each in hubs} == listed
    assert [each["influence"] is not None for each in hubs] == sorted(listed.values(), reverse=True)


@pytest.mark.parametrize("name", ["features", "recurringEdges"])
async def test_a_download_can_have_labels_and_links(api, imported, name):
    answer = await api.http.get(f"/export/{name}.jsonl", params={"labels": "true", "minCircuits": 1})
    rows = [json.loads(line) for line in answer.text.splitlines()]
    bare = await api.http.get(f"/export/{name}.jsonl", params={"minCircuits": 1})
    columns = {"features": [("id", "")], "recurringEdges": [("source", "source_"), ("target", "target_")]}
    added = [prefix + each for _, prefix in columns[name] for each in ("label", "neuronpedia_url")]
    assert [{k: v for k, v in row.items() if k not in added} for row in rows] == [
        json.loads(line) for line in bare.text.splitlines()
    ]
    query = "query ($id: ID!) { feature(id: $id) { neuronpediaUrl labels { text } } }"
    mine = [row for row in rows if row[columns[name][0][0]].startswith(imported.transcoders.id)]
    assert mine
    for row in mine + rows[:3]:
        for column, prefix in columns[name]:
            found = (await api(query, id=row[column]))["feature"]
            first = [each["text"] for each in found["labels"]] or [None]
            assert row[f"{prefix}label"] == first[0]
            assert row[f"{prefix}neuronpedia_url"] == found["neuronpediaUrl"]


async def test_a_download_without_features_has_no_labels(api, imported):
    for name, value, says in (("circuits", "true", "no argument 'labels'"), ("hubs", "maybe", "no Boolean")):
        answer = await api.http.get(f"/export/{name}.csv", params={"labels": value})
        assert answer.status_code == 400
        assert says in answer.json()["errors"][0]["message"]
