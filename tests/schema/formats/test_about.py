"""What a file says about itself."""

import json
from typing import Any

import pytest

from schema.circuit.records import Source
from schema.formats.about import LIMIT
from schema.formats.graph import read_graph
from tests.support.graph_files import circuit_tracer, encode
from tests.support.little_graph import circuit_of

INFO: dict[str, Any] = {
    "creator_name": "Ada",
    "creator_url": "https://a.example",
    "source_urls": ["https://neuronpedia.org/gemma-2-2b/clt-hp", "https://b.example"],
    "generator": {"name": "circuit-tracer", "version": "0.4", "url": "https://c.example"},
    "create_time_ms": 1_753_000_000_000,
    "description": "a greeting",
}


def about(info: Any = None, **metadata: Any) -> Source:
    graph = circuit_tracer()
    graph["metadata"] |= {"scan": "gemma-2-2b", "info": info, **metadata}
    found = circuit_of(graph).source
    assert found is not None
    return found


def test_the_source_tells_what_the_file_says_about_its_graph() -> None:
    found = about(INFO, title_prefix="Greeting", more={"deep": [1, None]})
    assert found.file_metadata is not None
    assert found.file_view is not None
    graph = circuit_tracer()
    graph["metadata"] |= {"scan": "gemma-2-2b", "info": INFO, "title_prefix": "Greeting"}
    assert json.loads(found.file_metadata) == graph["metadata"] | {"more": {"deep": [1, None]}}
    assert json.loads(found.file_view) == graph["qParams"]
    assert found == Source(
        tool="neuronpedia",
        slug="hi",
        scan="gemma-2-2b",
        source_set="clt-hp",
        creator="Ada",
        description="a greeting",
        title="Greeting",
        creator_url="https://a.example",
        source_urls=("https://neuronpedia.org/gemma-2-2b/clt-hp", "https://b.example"),
        create_time_ms=1_753_000_000_000,
        generator="circuit-tracer 0.4",
        file_metadata=found.file_metadata,
        file_view=found.file_view,
        file_layout=found.file_layout,
    )


@pytest.mark.parametrize(
    ("info", "kept"),
    [
        ({"source_urls": "https://a.example"}, (("https://a.example",), None, None)),
        ({"source_urls": [1, "", "x"], "create_time_ms": 5.0}, (("x",), 5, None)),
        ({"create_time_ms": True, "generator": "x 1"}, ((), None, "x 1")),
        ({"create_time_ms": -1, "generator": {"name": 1, "version": "2"}}, ((), None, "2")),
        ({"create_time_ms": 2**63, "generator": []}, ((), None, None)),
        (None, ((), None, None)),
    ],
)
def test_values_of_another_type_are_left_out(info: Any, kept: Any) -> None:
    found = about(info)
    assert (found.source_urls, found.create_time_ms, found.generator) == kept


def test_sections_that_are_too_large_are_left_out_with_a_note() -> None:
    graph = circuit_tracer()
    graph["metadata"]["large"] = "x" * LIMIT
    read = read_graph(encode(graph), "a.json")
    assert read.circuit.source is not None
    assert read.circuit.source.file_metadata is None
    assert read.circuit.source.file_layout is None  # so its export has our form
    assert read.notes == ("metadata is not kept for exports: it takes more than 1 MB",)
