"""Odd files: each kind is read, or refused with its name, the place and the reason."""

import json
from dataclasses import replace
from typing import Any

import pytest

from schema.errors import FileError
from schema.formats.files import parts
from schema.formats.graph import read_graph
from tests.support.graph_files import ALL, circuit_tracer, crm, encode
from tests.support.little_graph import circuit_of, read_part


def pointed(value: Any) -> Any:
    """The value with every whole number written as 1.0."""
    if isinstance(value, dict):
        return {key: pointed(each) for key, each in value.items()}
    if isinstance(value, list):
        return [pointed(each) for each in value]
    return float(value) if type(value) is int else value


@pytest.mark.parametrize("name", ALL)
def test_whole_numbers_with_a_point_are_read(name: str) -> None:
    graph = ALL[name]()
    found, wanted = (read_part(circuit_of(each)) for each in (pointed(graph), graph))
    assert replace(found, qk_tracing=None) == replace(wanted, qk_tracing=None)  # that text keeps its points


@pytest.mark.parametrize("name", ["circuit-tracer", "anthropic"])
def test_layers_as_texts_with_a_point_are_read(name: str) -> None:
    graph = ALL[name]()
    for each in graph["nodes"]:
        if each["layer"].isdecimal():
            each["layer"] += ".0"
    assert read_part(circuit_of(graph)) == read_part(circuit_of(ALL[name]()))


def test_whole_numbers_with_an_exponent_are_read() -> None:
    graph = crm()
    text = (
        json.dumps(graph)
        .replace('"ctx_idx": 1,', '"ctx_idx": 1e0,')
        .replace('"layer": 1,', '"layer": 10E-1,')
    )
    assert "1e0" in text
    assert "10E-1" in text
    assert read_part(read_graph(text.encode(), "hi.json").circuit) == read_part(circuit_of(graph))


def test_a_number_that_is_not_whole_is_refused_with_its_place() -> None:
    graph = circuit_tracer()
    graph["nodes"][0]["ctx_idx"], graph["nodes"][4]["ctx_idx"] = 1.0, 1.5
    with pytest.raises(FileError, match=r"nodes\[4\].ctx_idx: Expected `int`, got `float`"):
        read_graph(encode(graph), "a.json")


LLM_CIRCUITS: dict[str, Any] = {
    "prompt": "2+3=",
    "model": "qwen3-4b",
    "tokens": ["2", "+", "3", "="],
    "logit_token_strs": {"20": "5"},
    "nodes": [
        {"node_type": kind, "layer": layer, "position": 3, "feature_idx": feature, "token_id": token}
        | {"activation": 2.5, "label": None}
        for kind, layer, feature, token in (
            ("embedding", -1, None, None),
            ("feature", 1, 7, None),
            ("logit", 36, None, 20),
        )
    ],
    "edges": [{"source": 0, "target": 1, "weight": 1.0}, {"source": 1, "target": 2, "weight": 2.0}],
}
STRUCTURAL: dict[str, Any] = {
    "prompt": "2+3=",
    "model_name": "google/gemma-2-2b",
    "target_token": " 5",
    "nodes": [
        {"node_id": id_, "layer": layer, "feature_idx": index, "activation": 2.5, "node_type": kind}
        | {"label": None, "is_interpretable": None}
        for id_, layer, index, kind in (
            ("feat_L0_P1_F7", 0, 7, "feature"),
            ("error_L0_P1", 0, 1, "error"),
            ("embed_P1", 0, 1, "token_embed"),
            ("logit_0", 999, 0, "logit"),
        )
    ],
    "edges": [{"source_id": "feat_L0_P1_F7", "target_id": "logit_0", "weight": 2.0}],
    "metadata": {"layout": "selected+error+embed+logit", "n_active_features": 4420},
}
OTHER = [
    (LLM_CIRCUITS, "that of llm-circuits"),
    (STRUCTURAL, "that of attribution-graph-structural-analysis"),
    ({"nodes": [{"id": "f", "type": "feature", "feature_idx": 3, "layer": "1"}], "edges": []}, "another"),
    (
        {"metadata": {"prompt": "", "prompt_tokens": []}, "links": []}
        | {"nodes": [{"node_id": "f", "node_type": "feature", "feature_idx": 3, "layer": 1, "position": 2}]},
        "that of attribution-graph-structural-analysis",
    ),
    ({"directed": True, "multigraph": False, "graph": {}, "nodes": [{"id": 1}], "edges": []}, "another"),
]


@pytest.mark.parametrize(("graph", "named"), OTHER)
def test_a_graph_in_another_format_is_refused_with_the_keys_of_its_nodes(graph: Any, named: str) -> None:
    with pytest.raises(FileError) as refused:
        read_graph(encode(graph), "a.json")
    assert refused.value.file == "a.json"
    assert refused.value.key == "nodes[0]"
    keys = ", ".join(graph["nodes"][0])
    assert refused.value.reason == (
        f"has {keys}, but nodes of graph JSON have node_id, layer, ctx_idx, feature_type: "
        f"the format is {named}"
    )


def test_a_list_of_graphs_has_a_name_for_each() -> None:
    graphs = [circuit_tracer(), crm()]
    found = parts(b"\xef\xbb\xbf \n" + json.dumps(graphs).encode(), "a.json")
    assert [(name, json.loads(data)) for name, data in found] == [
        ("a.json[0]", graphs[0]),
        ("a.json[1]", graphs[1]),
    ]
    assert parts(encode(crm()), "a.json") == [("a.json", encode(crm()))]


@pytest.mark.parametrize("data", [b"[]", b"[1, 2]", b'[{"modelId": "gemma-2-2b"}]', b'["nodes"]'])
def test_a_list_of_something_else_is_refused(data: bytes) -> None:
    with pytest.raises(FileError, match=r"a\.json: the file: is a list, but not of graphs"):
        parts(data, "a.json")
