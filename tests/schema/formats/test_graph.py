"""Any graph file: names given by the caller, and the key and reason of every refusal."""

from typing import Any

import pytest

from schema.circuit.records import Run
from schema.errors import FileError
from schema.exports.graph_json import cantor, to_json
from schema.formats.graph import Given, read_graph
from schema.loading.rows import frame
from tests.support.graph_files import Graph, circuit_tracer, encode, node
from tests.support.little_graph import ERROR, FEATURE, changed, circuit_of


def test_an_id_that_a_feature_and_an_error_share() -> None:
    graph = circuit_tracer("0_{layer}_{position}")
    for each in graph["nodes"]:  # feature 1 of layer 0 at position 1 has the id of the error
        if each["node_id"] == "0_3_1":
            each |= {"node_id": "0_1_1", "feature": cantor(0, 1)}
    graph["links"] = [
        {"source": "E_7_1", "target": "0_1_1", "weight": 1.0},
        {"source": "0_1_1", "target": "1_40000_1", "weight": -0.5},
        {"source": "E_2_0", "target": "1_40000_1", "weight": 0.5},
        {"source": "0_1_1", "target": "3_11_1", "weight": 2.0},
        {"source": "0_1_1", "target": "3_11_1", "weight": 0.125},
        {"source": "1_40000_1", "target": "3_12_1", "weight": 3.0},
        {"source": "0_1_1", "target": "3_12_1", "weight": 4.0},
    ]
    with pytest.raises(FileError, match=r"hi.json: links\[1\].source: '0_1_1' is the id of a feature and"):
        circuit_of(graph)
    graph["links"][2]["source"] = "1_40000_1"  # before a feature there can only be a feature
    graph["links"][2]["target"] = "3_12_1"
    graph["links"][1], graph["links"][2] = graph["links"][2], graph["links"][1]
    del graph["links"][1:3]
    found = circuit_of(graph)
    kinds = [(found.nodes[e.source].kind, e.weight) for e in found.edges if found.nodes[e.target].index == 11]
    assert kinds == [(FEATURE, 2.0), (ERROR, 0.125)]
    assert [found.nodes[e.source].kind for e in found.edges if e.weight == 4.0] == [ERROR]


def test_given_names_families_and_tags() -> None:
    found = circuit_of(circuit_tracer(), Given("gemma", "my set", "greetings", ("b", "a", "b")))
    assert (found.model.name, found.transcoders.id, found.transcoders.model_id) == (
        "gemma",
        "my set@0123456789ab",
        "gemma",
    )
    assert (found.prompt.family, found.prompt.tags) == ("greetings", ("a", "b"))


@pytest.mark.parametrize(
    ("path", "value", "key", "reason"),
    [
        ("nodes.0.feature", "x", "nodes[0].feature", "Expected `int | null`, got `str`"),
        ("nodes.0.feature", -3, "nodes[0]", "feature -3 is not the number of a feature"),
        ("nodes.0.feature", cantor(5, 5), "nodes[0]", "pairs layer 5 and index 5, but layer is 0"),
        ("nodes.0.feature_type", "transcoder", "nodes[0]", "feature_type 'transcoder' is unknown"),
        ("nodes.0.layer", "zero", "nodes[0]", "layer 'zero' is not a number"),
        ("nodes.0.ctx_idx", 2, "nodes[0].ctx_idx", "is 2, but there are 2 prompt_tokens"),
        ("nodes.1.node_id", "0_3_1", "nodes[1]", "pairs layer"),
        ("links.0.weight", None, "links[0].weight", "Expected `float`, got `null`"),
        ("links.1.source", "0_4_1", "links[1].source", "'0_4_1' is not the id of a node"),
        ("metadata.scan", "", "metadata.scan", "is empty"),
        ("metadata.prompt_tokens", "Hi", "metadata.prompt_tokens", "Expected `array`, got `str`"),
        ("links", {}, "links", "Expected `array`, got `object`"),
    ],
)
def test_what_is_refused_is_named(path: str, value: Any, key: str, reason: str) -> None:
    graph = changed(path, value)
    if path == "nodes.0.feature" and value == -3:
        graph["nodes"][0]["node_id"] = "x"
        graph["links"] = []
    if value == cantor(5, 5):
        graph["nodes"][0]["node_id"] = "x"
        graph["links"] = []
    if path == "nodes.1.node_id":
        graph["nodes"][1]["feature"] = 3
        graph["links"] = []
    with pytest.raises(FileError) as caught:
        circuit_of(graph)
    assert (caught.value.file, caught.value.key) == ("hi.json", key)
    assert reason in caught.value.reason


def test_another_source_of_a_link_is_another_edge() -> None:
    found, plain = circuit_of(changed("links.1.source", "E_7_1")), circuit_of(circuit_tracer())
    assert found.nodes == plain.nodes
    assert found.edges == (plain.edges[0], plain.edges[1]._replace(source=4), *plain.edges[2:])


def test_duplicates_are_refused() -> None:
    graph = circuit_tracer()
    graph["nodes"].append(node("0_3_1", cantor(0, 3), "0", 1, "cross layer transcoder"))
    with pytest.raises(FileError, match=r"nodes\[7\]: is the same feature as nodes\[0\]"):
        circuit_of(graph)
    graph = circuit_tracer()
    graph["links"].append(graph["links"][1] | {"weight": 9.0})
    with pytest.raises(FileError, match=r"links\[4\]: has the same source and target as links\[1\]"):
        circuit_of(graph)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "truncated"),
        (encode(circuit_tracer())[:-20], "truncated"),
        (
            encode(circuit_tracer()).replace(b"0.125", b"NaN"),
            r"links\[3\]\.weight: is nan, which JSON does not have",
        ),
        (
            encode(circuit_tracer()).replace(b"0.75", b"-Infinity"),
            r"nodes\[2\]\.influence: is -inf, which JSON does not have",
        ),
        (encode(circuit_tracer()).replace(b"0.75", b"NaN")[:-9], "byte .*: JSON is malformed"),
        (encode(circuit_tracer() | {"nodes": [], "links": []}), "nodes: is empty"),
        (encode(circuit_tracer()).replace(b"0.125", b"1e999"), "out of range"),
        (b'{"else": ' + b"[" * 10**6, "nested too deeply"),
        (b'{"else": ' + b'{"a":' * 10**6, "nested too deeply"),
        (b"\x80\x02}q\x00.", "malformed"),
        (encode(circuit_tracer()).replace(b'"Hi"', b'"\xff"'), "UTF-8"),
    ],
)
def test_broken_json_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(FileError, match=reason):
        read_graph(data, "hi.json")


@pytest.mark.parametrize(
    ("probabilities", "marked", "answer"),
    [((0.3, 0.3), 1, "."), ((0.3, 0.3), 0, " you"), ((0.3, 0.3), None, " you"), ((0.6, 0.3), 1, " you")],
)
def test_the_marked_target_is_the_answer_among_equally_probable_logits(
    probabilities: tuple[float, float], marked: int | None, answer: str
) -> None:
    graph = circuit_tracer()
    for place, (each, probability) in enumerate(zip(graph["nodes"][-2:], probabilities, strict=True)):
        each |= {"token_prob": probability, "is_target_logit": place == marked}
    found = circuit_of(graph)
    assert found.answer is not None
    assert found.answer.token == answer
    assert found.target_logit == (None if marked is None else found.nodes[5 + marked].key)
    assert frame(found, Run({}, {})).circuit["answer"] == answer
    # The mark is no part of the graph, so a file that somebody writes again is the same circuit.
    assert found.content == circuit_of(circuit_tracer() | graph | {"nodes": _unmarked(graph)}).content
    again = to_json(found)
    assert [each["is_target_logit"] for each in again["nodes"][-2:]] == [marked == 0, marked == 1]
    assert circuit_of(again) == found


def _unmarked(graph: Graph) -> list[Graph]:
    return [
        {key: value for key, value in each.items() if key != "is_target_logit"} for each in graph["nodes"]
    ]
