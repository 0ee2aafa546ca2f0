"""Graph JSON of Neuronpedia, with and without a subgraph, is read as one whole circuit."""

import json

import pytest

from schema.circuit.records import Edge, Label, Model, Node, Source, Supernode, TranscoderSet
from schema.formats.graph import read_graph
from tests.support.graph_files import encode, legacy, neuronpedia
from tests.support.little_graph import FEATURE, TOKEN, circuit_of, expected, read_part, same


def test_neuronpedia_with_a_subgraph() -> None:
    graph = neuronpedia()
    found = read_graph(encode(graph), "hi.json")
    nodes = list(expected()["nodes"])
    nodes[0] = Node(FEATURE, 0, 1, 3, 1.5, None, 0.25, pinned=True)
    nodes[4] = Node(TOKEN, -1, 1, 7, None, None, 1.0, "Hi", pinned=True)
    same(
        found.circuit,
        model=Model("gemma-2-2b", None, None, 2, None, None),
        transcoders=TranscoderSet(
            "gemma-2-2b/gemmascope-transcoder-16k",
            *(None,) * 6,
            "gemma-2-2b",
            neuronpedia="gemma-2-2b/gemmascope-transcoder-16k",
        ),
        target="salient-logits(10, 0.95)",
        node_threshold=0.7,
        edge_threshold=0.85,
        max_feature_nodes=5000,
        nodes=tuple(nodes),
        edges=(
            Edge(4, 0, 1.0, None),
            Edge(0, 1, -0.5, None),
            Edge(1, 5, 2.25, None),
            Edge(2, 5, 0.125, None),
        ),
        labels=(
            Label(0, 3, "greetings", "viewer", "Ada"),
            Label(1, 40000, "say you", "viewer", "Ada"),
        ),
        supernodes=(
            Supernode("say hello", 1, (0, 1), "viewer", "Ada"),
            Supernode("words", None, (3, 4, 5), "viewer", "Ada"),
        ),
        source=Source(
            "neuronpedia",
            "hi",
            "gemma-2-2b",
            "gemmascope-transcoder-16k",
            creator="Ada",
            description="a greeting",
            creator_url="https://ada.example",
            source_urls=("https://www.neuronpedia.org/gemma-2-2b/gemmascope-transcoder-16k",),
            create_time_ms=1_753_000_000_000,
            generator="x 2",
        ),
    )
    assert found.notes == ("1 member of supernode 'words' left out: not in the graph",)


def test_lists_as_text_and_a_mark_of_byte_order_do_not_matter() -> None:
    graph = neuronpedia()
    wanted = read_graph(encode(graph), "hi.json")
    view = graph["qParams"]
    view |= {"pinnedIds": ",".join(view["pinnedIds"])}
    view |= {name: json.dumps(view[name]) for name in ("supernodes", "clerps")}
    found = read_graph(b"\xef\xbb\xbf" + encode(graph), "hi.json")
    assert (read_part(found.circuit), found.notes) == (read_part(wanted.circuit), wanted.notes)


def test_what_is_drawn_in_a_graph_does_not_make_it_another() -> None:
    graph = neuronpedia()
    graph["qParams"] = {}
    graph["nodes"][0]["clerp"] = ""
    assert circuit_of(graph).id == circuit_of(neuronpedia()).id


@pytest.mark.parametrize(
    ("scan", "transcoders", "pages"),
    [
        ("gemma-2-2b", "gemma-2-2b/gemmascope-transcoder-16k", "gemma-2-2b/gemmascope-transcoder-16k"),
        ("qwen3-4b", "transcoders of qwen3-4b", None),
    ],
)
def test_numbers_from_before_there_was_a_schema_version(
    scan: str, transcoders: str, pages: str | None
) -> None:
    same(
        circuit_of(legacy(scan)),
        model=Model(scan, None, None, 2, None, None),
        transcoders=TranscoderSet(transcoders, None, None, None, None, None, None, scan, neuronpedia=pages),
        source=Source("neuronpedia", "hi", scan),
    )
