"""Imported circuits by what their files say: tool, slug, title, creator, source URL and pins."""

from typing import Any

import pytest

from schema.circuit.records import Circuit
from schema.database import Database
from schema.formats.graph import read_graph
from schema.loading.load import load_circuit
from tests.support.circuits import RUN
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


@pytest.fixture(scope="module")
def imported(connection: Database, circuits: list[Circuit]) -> list[Circuit]:
    """A published graph with pins and a graph of circuit-tracer without, beside circuits of the atlas."""
    assert circuits
    both = [read_graph(encode(graph), "x").circuit for graph in (published(), circuit_tracer())]
    for circuit in both:
        load_circuit(connection, circuit, RUN)
    return both


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
    assert unpinned["totalCount"] == len(circuits) + 1
