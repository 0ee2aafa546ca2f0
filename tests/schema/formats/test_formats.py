"""Graph files of every tool, read: whole circuits, and what is refused with key and reason. No database."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from schema.circuit.canonical import canonical
from schema.circuit.records import (
    Circuit,
    Edge,
    Label,
    Model,
    Node,
    NodeKind,
    Prompt,
    Source,
    Supernode,
    TranscoderSet,
)
from schema.errors import FileError
from schema.exports.graph_json import cantor, to_json
from schema.formats.files import Kind, find, read
from schema.formats.graph import Given, read_graph
from schema.formats.numbers import uncantor
from tests.support.circuits import synthetic_circuits
from tests.support.graph_files import (
    ALL,
    Graph,
    anthropic,
    circuit_tracer,
    crm,
    eleuther,
    encode,
    legacy,
    neuronpedia,
    node,
)

FEATURE, ERROR, TOKEN, LOGIT, OTHER = NodeKind


def circuit_of(graph: Graph, given: Given = Given()) -> Circuit:  # noqa: B008  immutable
    return read_graph(encode(graph), "hi.json", given).circuit


def expected(**changes: Any) -> dict[str, Any]:
    """The little graph's circuit, as its fields."""
    return {
        "prompt": Prompt("Hi", ("<bos>", "Hi"), (2, 7)),
        "model": Model("model of org/clt", None, None, 2, None, None),
        "transcoders": TranscoderSet(
            "org/clt", "0123456789abcdef", None, None, None, None, None, "model of org/clt"
        ),
        "target": None,
        "target_position": 1,
        "node_threshold": 0.8,
        "edge_threshold": None,
        "max_feature_nodes": None,
        "dtype": None,
        "special_first_token": None,
        "replacement_score": None,
        "completeness_score": None,
        "error_share": None,
        "n_active_features": None,
        "n_selected_features": None,
        "kept_influence": None,
        "nodes": (
            Node(FEATURE, 0, 1, 3, 1.5, None, 0.25),
            Node(FEATURE, 1, 1, 40000, 2.5, None, 0.5),
            Node(ERROR, 1, 1, None, None, None, 0.75),
            Node(TOKEN, -1, 0, 2, None, None, 0.9, "<bos>"),
            Node(TOKEN, -1, 1, 7, None, None, 1.0, "Hi"),
            Node(LOGIT, 2, 1, 11, None, 0.6, None, " you", 0.6),
            Node(LOGIT, 2, 1, 12, None, 0.3, None, ".", 0.3),
        ),
        "edges": (
            Edge(4, 0, 1.0, None),
            Edge(0, 1, -0.5, None),
            Edge(1, 5, 2.0, None),
            Edge(2, 5, 0.125, None),
        ),
        "source": Source("circuit-tracer", "hi", "org/clt@0123456789abcdef"),
        **changes,
    }


def same(circuit: Circuit, **changes: Any) -> None:
    assert circuit == Circuit(**expected(**changes), content=circuit.content)


@pytest.mark.parametrize("error_id", ["{layer}_-1_{position}", "0_{layer}_{position}"])
def test_circuit_tracer(error_id: str) -> None:
    same(circuit_of(circuit_tracer(error_id)))


def test_the_ids_of_errors_do_not_matter() -> None:
    old, new = circuit_of(circuit_tracer("0_{layer}_{position}")), circuit_of(circuit_tracer())
    assert old == new
    assert old.id == new.id


def test_a_list_of_transcoders_has_a_name_that_stays() -> None:
    graph = circuit_tracer()
    graph["metadata"] |= {"transcoder_list": ["a", "b"], "scan": "custom-42"}
    other = circuit_tracer()
    other["metadata"] |= {"transcoder_list": ["a", "b"], "scan": "custom--77"}
    assert circuit_of(graph).transcoders == circuit_of(other).transcoders
    assert circuit_of(graph).id == circuit_of(other).id


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
            "gemma-2-2b/gemmascope-transcoder-16k", None, None, None, None, None, None, "gemma-2-2b"
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
        ),
    )
    assert found.notes == ("1 members of supernode 'words' are not in the graph",)


def test_lists_as_text_and_a_mark_of_byte_order_do_not_matter() -> None:
    graph = neuronpedia()
    wanted = read_graph(encode(graph), "hi.json")
    view = graph["qParams"]
    view |= {"pinnedIds": ",".join(view["pinnedIds"])}
    view |= {name: json.dumps(view[name]) for name in ("supernodes", "clerps")}
    assert read_graph(b"\xef\xbb\xbf" + encode(graph), "hi.json") == wanted


def test_what_is_drawn_in_a_graph_does_not_make_it_another() -> None:
    graph = neuronpedia()
    graph["qParams"] = {}
    graph["nodes"][0]["clerp"] = ""
    assert circuit_of(graph).id == circuit_of(neuronpedia()).id


@pytest.mark.parametrize(
    ("scan", "transcoders"),
    [("gemma-2-2b", "gemma-2-2b/gemmascope-transcoder-16k"), ("qwen3-4b", "transcoders of qwen3-4b")],
)
def test_numbers_from_before_there_was_a_schema_version(scan: str, transcoders: str) -> None:
    same(
        circuit_of(legacy(scan)),
        model=Model(scan, None, None, 2, None, None),
        transcoders=TranscoderSet(transcoders, None, None, None, None, None, None, scan),
        source=Source("neuronpedia", "hi", scan),
    )


def test_crm_keeps_attention_apart() -> None:
    assert read_graph(encode(crm()), "x").notes == ()
    found = circuit_of(crm())
    assert found.nodes == (
        Node(FEATURE, 0, 1, 3, 1.5, None, 0.5),
        Node(FEATURE, 0, 1, 3, 0.5, None, None, component="attention"),
        Node(ERROR, 1, 1, None),
        Node(ERROR, 1, 1, None, component="attention"),
        Node(TOKEN, -1, 1, 7, None, None, None, "Hi"),
        Node(LOGIT, 2, 1, 11, None, 0.6, None, " you", 0.6),
        Node(OTHER, 1, 0, None, component="bias:attn_bO"),
    )
    assert found.model == Model("qwen3-1.7b", None, None, 2, None, None)
    assert found.transcoders.name == "qwen3-1.7b/transcoder-8x"
    assert found.source == Source("neuronpedia-crm", "crm", "qwen3-1.7b", "transcoder-8x", "lorsa-8x")
    assert found.labels == ()
    assert found.prompt.token_ids is None  # one of the two tokens has no node
    assert len({node.key for node in found.nodes}) == len(found.nodes)


def test_what_was_traced_of_attention_scores_comes_back() -> None:
    """Under the ids that we export where the graph has the node."""
    graph = crm()
    found = circuit_of(graph)
    assert found.qk_tracing is not None
    exported = to_json(found)
    assert exported["qk_only_nodes"] == graph["qk_only_nodes"]
    traced = {each["node_id"]: each.get("qk_tracing_results") for each in exported["nodes"]}
    assert {name: results for name, results in traced.items() if results} == {
        "0_lor_3_1": {
            "pair_wise_contributors": [["0_3_1", "0_cro_9_0", 0.5]],
            "top_q_marginal_contributors": [["0_3_1", 0.5]],
            "top_k_marginal_contributors": [["0_cro_9_0", 0.5]],
        }
    }
    again = circuit_of(exported)
    assert (again.id, again.qk_tracing) == (found.id, found.qk_tracing)
    del graph["nodes"][2]["qk_tracing_results"], graph["qk_only_nodes"]
    plain = circuit_of(graph)
    assert (plain.id, plain.qk_tracing) == (found.id, None)
    assert "qk_only_nodes" not in to_json(plain)


@pytest.mark.parametrize("value", [[], "x", 7, {"a": [[{"b": "E_7_1"}]]}, [["1_cro", None, True, -1.5e300]]])
def test_traces_may_be_any_json(value: Any) -> None:
    graph = crm()
    graph["nodes"][2]["qk_tracing_results"] = value
    (kept,) = [each for each in to_json(circuit_of(graph))["nodes"] if "qk_tracing_results" in each]
    assert kept["qk_tracing_results"] == value


def test_traces_that_are_too_deep_or_too_large() -> None:
    graph = crm()
    deep: Any = 1
    for _ in range(30):
        deep = [deep]
    graph["nodes"][2]["qk_tracing_results"] = deep
    with pytest.raises(FileError, match=r"x: nodes\[2\].qk_tracing_results: has more than 20 lists"):
        read_graph(encode(graph), "x")
    text = encode(graph).replace(encode(deep), b"[" * 100_000 + b"]" * 100_000)
    with pytest.raises(FileError, match=r"qk_tracing_results|nested too deeply"):
        read_graph(text, "x")
    graph["nodes"][2]["qk_tracing_results"] = ["x" * 100] * 50_000
    found = read_graph(encode(graph), "x")
    assert found.circuit.qk_tracing is None
    assert found.notes == (
        "qk_tracing_results and qk_only_nodes are left out: they take 5.2 MB, more than 4",
    )
    graph["nodes"][2]["qk_tracing_results"] = "half"
    with pytest.raises(FileError, match="unexpected end of hex escape"):
        read_graph(encode(graph).replace(b'"half"', b'"\\ud800"'), "x")


def test_anthropic() -> None:
    found = circuit_of(anthropic())
    scan = "jackl-circuits-runs-1-4-sofa-v3_0"
    nodes = [
        Node(n.kind, n.layer, n.position, n.index, None, n.influence, None, n.token, n.probability)
        for n in expected()["nodes"]
    ]
    nodes[1] = Node(FEATURE, 1, 1, 40000, pinned=True)
    same(
        found,
        model=Model(scan, None, None, None, None, None),
        transcoders=TranscoderSet(f"transcoders of {scan}", None, None, None, None, None, None, scan),
        nodes=tuple(nodes),
        node_threshold=None,
        labels=(Label(1, 40000, "say you", "viewer", "Anthropic"),),
        supernodes=(Supernode("hello", 1, (0, 1), "viewer", "Anthropic"),),
        source=Source("anthropic", "hi", scan),
    )


def test_eleuther_weights_are_marked_as_gradients() -> None:
    found = circuit_of(eleuther())
    assert found.weights == "gradient"
    assert found.model == Model("model of default", None, None, 2, None, None)
    assert found.nodes == (
        Node(FEATURE, 0, 1, 3, None, None, 0.5),
        Node(ERROR, 1, 1, None),
        Node(TOKEN, -1, 0, None, None, None, None, "<bos>"),
        Node(TOKEN, -1, 1, None, None, None, None, "Hi"),
        Node(LOGIT, 2, 1, None, None, 0.6, None, " you", 0.6)
        if found.nodes[4].token == " you"
        else Node(LOGIT, 2, 1, None, None, 0.3, None, ".", 0.3),
        found.nodes[5],
    )
    assert {node.token for node in found.nodes if node.kind is LOGIT} == {" you", "."}
    assert [(e.source, e.weight) for e in found.edges] == [(3, 0.25), (0, 1.5)]


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


@pytest.mark.parametrize("name", ALL)
def test_import_export_import_gives_the_same_circuit(name: str) -> None:
    first = circuit_of(ALL[name]())
    again = circuit_of(to_json(first))
    assert again == first
    assert again.id == first.id


def test_supernodes_of_one_name_and_two_methods_come_back() -> None:
    circuit = synthetic_circuits(1)[0]
    group = circuit.supernodes[0]
    twice = replace(circuit, supernodes=(*circuit.supernodes, replace(group, method="person", author="ada")))
    assert circuit_of(to_json(twice)) == canonical(twice)


def test_our_own_circuits_come_back_under_their_ids() -> None:
    for circuit in synthetic_circuits(4):
        found = circuit_of(to_json(circuit))
        assert found == canonical(circuit)
        assert found.id == circuit.id


def test_an_edited_export_is_another_circuit_and_keeps_what_was_drawn() -> None:
    circuit = synthetic_circuits(1)[0]
    graph = to_json(circuit)
    graph["links"][0]["weight"] += 1.0
    feature = next(each for each in graph["nodes"] if each["feature_type"] == "cross layer transcoder")
    feature["clerp"] = "a better label"
    graph["qParams"]["supernodes"].append(["new", feature["node_id"]])
    found = circuit_of(graph)
    assert found.id != circuit.id
    assert found.content is not None
    assert set(found.labels) - set(circuit.labels) == {
        Label(int(feature["layer"]), found.labels[0].index, "a better label", "viewer", "unknown")
    } or "a better label" in {label.text for label in found.labels}
    assert {group.label for group in found.supernodes} == {g.label for g in circuit.supernodes} | {"new"}


def changed(path: str, value: Any) -> Graph:
    """The little graph with one value replaced; None: removed."""
    graph: Any = circuit_tracer()
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    target = graph
    for part in parents:
        target = target[part]
    target[last] = value
    return graph


@pytest.mark.parametrize(
    ("path", "value", "key", "reason"),
    [
        ("nodes.0.feature", "x", "nodes[0].feature", "Expected `int | null`, got `str`"),
        ("nodes.0.feature", -3, "nodes[0]", "feature -3 is no number of a feature"),
        ("nodes.0.feature", cantor(5, 5), "nodes[0]", "pairs layer 5 and index 5, but layer is 0"),
        ("nodes.0.feature_type", "transcoder", "nodes[0]", "feature_type 'transcoder' is none that is known"),
        ("nodes.0.layer", "zero", "nodes[0]", "layer 'zero' is no number"),
        ("nodes.0.ctx_idx", 2, "nodes[0].ctx_idx", "is 2, but there are 2 prompt_tokens"),
        ("nodes.1.node_id", "0_3_1", "nodes[1]", "pairs layer"),
        ("links.0.weight", None, "links[0].weight", "Expected `float`, got `null`"),
        ("links.1.source", "0_4_1", "links[1].source", "'0_4_1' is the id of no node"),
        ("links.1.source", "E_7_1", None, None),
        ("metadata.scan", "", "metadata.scan", "is empty"),
        ("metadata.prompt_tokens", "Hi", "metadata.prompt_tokens", "Expected `array`, got `str`"),
        ("links", {}, "links", "Expected `array`, got `object`"),
    ],
)
def test_what_is_refused_is_named(path: str, value: Any, key: str | None, reason: str | None) -> None:
    graph = changed(path, value)
    if key is None:
        circuit_of(graph)
        return
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
    assert reason is not None
    assert reason in caught.value.reason


def test_duplicates_are_refused() -> None:
    graph = circuit_tracer()
    graph["nodes"].append(node("0_3_1", cantor(0, 3), "0", 1, "cross layer transcoder"))
    with pytest.raises(FileError, match=r"nodes\[7\]: is the same feature as nodes\[0\]"):
        circuit_of(graph)
    graph = circuit_tracer()
    graph["links"].append(graph["links"][1] | {"weight": 9.0})
    with pytest.raises(FileError, match=r"links\[4\]: has source and target of links\[1\]"):
        circuit_of(graph)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "truncated"),
        (encode(circuit_tracer())[:-20], "truncated"),
        (
            encode(circuit_tracer()).replace(b"0.125", b"NaN"),
            r"links\[3\]\.weight: is nan, which is no number",
        ),
        (
            encode(circuit_tracer()).replace(b"0.75", b"-Infinity"),
            r"nodes\[2\]\.influence: is -inf, which is no number",
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


def test_files_and_folders_are_found_once_and_unpacked(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    plain, packed = tmp_path / "a.json", tmp_path / "deep" / "b.json.gz"
    plain.write_bytes(encode(circuit_tracer()))
    packed.write_bytes(gzip.compress(encode(circuit_tracer())))
    (tmp_path / "graph-metadata.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("")
    found = find([tmp_path, plain])
    assert [(each.path, each.kind) for each in found] == [(plain, Kind.JSON), (packed, Kind.JSON)]
    assert read(plain) == read(packed)
    packed.write_bytes(gzip.compress(encode(circuit_tracer()))[:-9])
    with pytest.raises(FileError, match=r"b.json.gz: the file: cannot be read"):
        read(packed)


def test_pairing_is_exact_where_floating_point_is_not() -> None:
    for layer, index in [(0, 0), (25, 72700), (61, 2**31), (3, 2**31 - 1), (9999, 2**40)]:
        assert uncantor(cantor(layer, index)) == (layer, index)
