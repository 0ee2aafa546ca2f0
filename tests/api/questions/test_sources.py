"""Imported circuits by what their files say: tool, slug, title, creator, source URL and pins."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from schema.circuit.records import Circuit, Source
from schema.database import Database
from schema.formats.graph import read_graph
from schema.loading.load import load_circuit
from tests.support.choosing import popular
from tests.support.circuits import RUN, synthetic_circuits, uses
from tests.support.graph_files import Graph, circuit_tracer, encode, neuronpedia

URL = "https://www.neuronpedia.org/gemma-2-2b/gemmascope-transcoder-16k"


def published() -> Graph:
    graph = neuronpedia()
    graph["metadata"] |= {"slug": "dallas", "title_prefix": "The Capital of Texas"}
    graph["metadata"]["info"] |= {
        "creator_url": "https://example.org/ada",
        "source_urls": [URL],
        "generator": {"name": "circuit-tracer", "version": "0.2.0"},
    }
    return graph


def of_other_tools() -> list[Circuit]:
    """Made-up circuits of two tools, two creators and two source URLs, each with its own slug."""
    return [
        replace(
            circuit,
            content=f"made up {place}",
            source=Source(
                f"tool {place % 2}",
                f"slug {place}",
                "made-up",
                creator=f"creator {place // 3}",
                source_urls=("https://example.org/a", "https://example.org/b")[: place % 3],
            ),
        )
        for place, circuit in enumerate(synthetic_circuits(6, seed=9))
    ]


@pytest.fixture(scope="module")
def imported(connection: Database, circuits: list[Circuit]) -> list[Circuit]:
    """A published graph with pins and a graph of circuit-tracer without, beside circuits of the atlas.

    Behind these two are circuits of other tools.
    """
    assert circuits
    read = [read_graph(encode(graph), "x").circuit for graph in (published(), circuit_tracer())]
    found = [*read, *of_other_tools()]
    for circuit in found:
        load_circuit(connection, circuit, RUN)
    return found


async def test_a_circuit_says_what_its_file_says(api, circuits, imported):
    query = """query ($id: ID!) { circuit(id: $id) {
      tool slug title description creator creatorUrl sourceSet sourceUrls generator
      pins: nodes(pinned: true) { totalCount nodes { kind pinned index } }
      others: nodes(pinned: false) { totalCount }
      graph { nodes { kind pinned } } } }"""
    found = (await api(query, id=imported[0].id))["circuit"]
    nodes = imported[0].nodes
    graph = found.pop("graph")["nodes"]
    assert [node["pinned"] for node in graph].count(True) == 2
    assert len(graph) == len(nodes)
    assert found == {
        "tool": "neuronpedia",
        "slug": "dallas",
        "title": "The Capital of Texas",
        "description": "a greeting",
        "creator": "Ada",
        "creatorUrl": "https://example.org/ada",
        "sourceSet": "gemmascope-transcoder-16k",
        "sourceUrls": [URL],
        "generator": imported[0].source.generator,
        "pins": {
            "totalCount": 2,
            "nodes": [
                {"kind": "FEATURE", "pinned": True, "index": "3"},
                {"kind": "TOKEN", "pinned": True, "index": "7"},
            ],
        },
        "others": {"totalCount": len(nodes) - 2},
    }
    computed = (await api(query, id=circuits[0].id))["circuit"]
    assert {name for name, value in computed.items() if value is not None} == {"pins", "others", "graph"}
    assert computed["pins"] == {"totalCount": 0, "nodes": []}


FILTERS: list[tuple[dict[str, Any], list[int]]] = [
    ({"tool": "neuronpedia"}, [0]),
    ({"tool": "circuit-tracer"}, [1]),
    ({"slug": "dallas"}, [0]),
    ({"slug": "hi"}, [1]),
    ({"title": "capital of tex"}, [0]),
    ({"title": "' OR true //"}, []),
    ({"creator": "Ada"}, [0]),
    ({"creator": "ada"}, []),
    ({"sourceUrl": URL}, [0]),
    ({"sourceUrl": "https://www.neuronpedia.org"}, []),
    ({"pinned": True}, [0]),
    ({"pinned": False, "tool": "circuit-tracer"}, [1]),
    ({"pinned": False, "tool": "neuronpedia"}, []),
    ({"pinned": True, "slug": "dallas", "creator": "Ada", "sourceUrl": URL}, [0]),
]


@pytest.mark.parametrize(("given", "places"), FILTERS, ids=lambda each: str(each)[:40])
async def test_circuits_are_filtered_by_their_source(api, imported, given, places):
    query = "query ($filter: CircuitFilter) { circuits(filter: $filter) { totalCount nodes { id } } }"
    ids = [imported[place].id for place in places]
    assert (await api(query, filter=given))["circuits"] == {
        "totalCount": len(ids),
        "nodes": [{"id": id} for id in ids],
    }


async def test_circuits_are_filtered_by_what_is_pinned(api, circuits, imported):
    query = "query ($filter: CircuitFilter) { circuits(filter: $filter) { totalCount nodes { id } } }"
    pinned, other = (f"{imported[0].transcoders.id}/{place}" for place in ("0/3", "1/40000"))
    for features, n in (([pinned], 1), ([other], 0), ([other, pinned], 1), (["none"], 0)):
        found = (await api(query, filter={"pinnedFeatures": features}))["circuits"]
        assert found == {"totalCount": n, "nodes": [{"id": imported[0].id}] * n}
    unpinned = (await api(query, filter={"pinned": False}))["circuits"]
    assert unpinned["totalCount"] == len(circuits) + len(imported) - 1


def of_source(circuits: list[Circuit], given: dict[str, Any]) -> list[Circuit]:
    """The circuits of a set, by its definition."""
    return [
        circuit
        for circuit in circuits
        if (source := circuit.source)
        and all(
            value in source.source_urls if name == "sourceUrl" else value == getattr(source, name)
            for name, value in given.items()
            if name not in ("families", "circuits")
        )
        and ("families" not in given or circuit.prompt.family in given["families"])
        and ("circuits" not in given or circuit.id in given["circuits"])
    ]


SETS: list[dict[str, Any]] = [
    {"tool": "tool 1"},
    {"slug": "slug 2"},
    {"creator": "creator 0"},
    {"sourceUrl": "https://example.org/a"},
    {"sourceUrl": "https://example.org/b", "tool": "tool 0"},
    {"creator": "creator 1", "slug": "slug 0"},
    {"tool": "tool 0", "families": ["arithmetic"]},
]


@pytest.mark.parametrize("given", SETS, ids=str)
async def test_sets_are_narrowed_by_source(api, circuits, imported, given):
    chosen = of_source([*circuits, *imported], given)
    found = Counter(feature for _, feature in uses(chosen))
    query = """query ($tool: String, $slug: String, $creator: String, $sourceUrl: String,
                      $families: [String!], $set: CircuitSet!) {
      sharedFeatures(tool: $tool, slug: $slug, creator: $creator, sourceUrl: $sourceUrl, families: $families,
                     minCircuits: 1, countBy: CIRCUITS, first: 100) {
        totalCount considered { nCircuits } nodes { nCircuits feature { id } } }
      contrast(positive: $set, negative: { tool: "circuit-tracer" }) {
        positive { nCircuits } negative { nCircuits } } }"""
    data = await api(query, **given, set=given)
    shared = data["sharedFeatures"]
    assert (shared["totalCount"], shared["considered"]["nCircuits"]) == (len(found), len(chosen))
    listed = {each["feature"]["id"]: each["nCircuits"] for each in shared["nodes"]}
    assert listed == {feature: found[feature] for feature in listed}
    assert sorted(listed.values()) == sorted(found.values())[-100:]
    assert data["contrast"] == {"positive": {"nCircuits": len(chosen)}, "negative": {"nCircuits": 1}}


@pytest.mark.parametrize("families", [None, ["arithmetic"]])
async def test_a_source_narrows_circuits_and_a_family_that_are_named(api, circuits, imported, families):
    """These sets would be known without the database if no source were given."""
    given = {"tool": "tool 0", "circuits": [circuit.id for circuit in [*circuits[:3], *imported[:5]]]}
    if families is not None:
        given = {"tool": "tool 0", "families": families}
    chosen = of_source([*circuits, *imported], given)
    features = popular(imported[2:], 3)
    query = """query ($features: [ID!]!, $set: CircuitSet!, $ids: [ID!], $families: [String!],
                      $chosen: [ID!]) {
      circuitsSharing(features: $features, mode: ANY, among: $set, first: 100) { nodes { circuit { id } } }
      presence(features: $features, among: $set) { features { kept: nCircuits(state: KEPT) } }
      motifs(minSupport: 2, among: $set) { totalCount considered { nCircuits } }
      named: motifs(minSupport: 2, among: { circuits: $chosen }) { totalCount considered { nCircuits } }
      sharedFeatures(circuits: $ids, families: $families, tool: "tool 0", minCircuits: 1) { totalCount } }"""
    ids = [circuit.id for circuit in chosen]
    data = await api(
        query, features=features, set=given, ids=given.get("circuits"), families=families, chosen=ids
    )
    having = {feature: {c for c, f in uses(chosen) if f == feature} for feature in features}
    assert {each["circuit"]["id"] for each in data["circuitsSharing"]["nodes"]} == set().union(
        *having.values()
    )
    assert data["presence"]["features"] == [{"kept": len(having[feature])} for feature in features]
    assert data["motifs"] == data["named"]
    assert data["motifs"]["considered"]["nCircuits"] == len(chosen) > 0
    assert data["sharedFeatures"]["totalCount"] == len({feature for _, feature in uses(chosen)})


@pytest.mark.parametrize("name", ["tool", "slug", "creator", "sourceUrl"])
async def test_a_source_that_no_circuit_has_is_an_error(api, imported, name):
    query = "query ($set: CircuitSet!) { motifs(minSupport: 2, among: $set) { totalCount } }"
    code, message, _ = await api.error(query, set={name: "' OR true //"})
    shown = "source URL" if name == "sourceUrl" else name
    assert (code, message) == ("NOT_FOUND", f'The database has no {shown} "\' OR true //"')
