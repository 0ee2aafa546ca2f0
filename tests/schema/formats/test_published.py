"""Files of Neuronpedia and viewers, and odd files: right names, or a refusal that names the fault."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from schema.circuit.records import Circuit
from schema.errors import FileError, InputError
from schema.formats.files import find
from schema.formats.graph import UNNAMED, Given, read_graph
from schema.loading.validate import check_record
from tests.support.graph_files import Graph, circuit_tracer, eleuther, encode, node
from tests.support.little_graph import circuit_of


def published(source: str, **info: Any) -> Graph:
    """A file as Neuronpedia's server writes it: circuit-tracer's keys, with where its features are."""
    graph = circuit_tracer()
    graph["metadata"] |= {
        "scan": "gemma-2-2b",
        "info": {
            "creator_name": "Ada",
            "creator_url": "https://neuronpedia.org",
            "source_urls": [source],
            "generator": {"name": "circuit-tracer"},
            "create_time_ms": 1,
            **info,
        },
    }
    return graph


SETS = [
    (published("https://neuronpedia.org/gemma-2-2b/clt-hp", transcoder_set="a/b"), "gemma-2-2b/clt-hp"),
    (published("https://www.neuronpedia.org/gemma-2-2b/gemmascope-transcoder-16k/"),
     "gemma-2-2b/gemmascope-transcoder-16k"),
    (published("https://huggingface.co/a/b", transcoder_set="mntss/clt"), "gemma-2-2b/mntss/clt"),
    (published("https://neuronpedia.org/qwen3-4b/other", transcoder_set="gemma"), "gemma-2-2b/gemma"),
    (published("", neuronpedia_source_set="clt-hp"), "gemma-2-2b/clt-hp"),
    (published("", source_urls="https://neuronpedia.org/gemma-2-2b/one-text"), "gemma-2-2b/one-text"),
    (published("https://neuronpedia.org/gemma-2-2b/20-of-a-layer"), "gemma-2-2b/of-a-layer"),
    (published("https://neuronpedia.org/gemma-2-2b/asked?a=b#c"), "gemma-2-2b/asked"),
    (published("", neuronpedia_source_set="https://www.neuronpedia.org/gemma-2-2b/in-the-address"),
     "gemma-2-2b/in-the-address"),
    (published("", neuronpedia_source_set="gemma-2-2b/behind-the-model"), "gemma-2-2b/behind-the-model"),
    (published("https://www.neuronpedia.org/gemma-2-2b/graph?slug=a", transcoder_set="of/no-page"),
     "gemma-2-2b/of/no-page"),
    (published("", source_urls=["https://neuronpedia.org/gemma-2-2b/one", "https://neuronpedia.org/gemma-2-2b/two"],
               transcoder_set="one/of-two"), "gemma-2-2b/one/of-two"),
]  # fmt: skip


@pytest.mark.parametrize(("graph", "name"), SETS)
def test_the_tool_model_and_set_are_what_the_file_says(graph: Graph, name: str) -> None:
    circuit = circuit_of(graph)
    assert circuit.source is not None
    assert (circuit.source.tool, circuit.model.name, circuit.transcoders.name) == (
        "neuronpedia", "gemma-2-2b", name,
    )  # fmt: skip


def test_features_of_two_sets_of_one_model_are_two() -> None:
    found = {circuit_of(graph).transcoders.feature_id(0, 3) for graph, _ in SETS}
    assert len(found) == len({name for _, name in SETS})


def uploaded(**metadata: Any) -> Graph:
    """A file that names its model and no transcoders."""
    graph = circuit_tracer()
    graph["metadata"] |= {"scan": "gemma-2-2b", **metadata}
    return graph


def without(graph: Graph, *keys: str) -> Graph:
    for key in keys:
        del graph["metadata"][key]
    return graph


def again(graph: Graph) -> Graph:
    """Another graph of the same dialect: one activation differs."""
    graph = json.loads(json.dumps(graph))
    graph["nodes"][0]["activation"] = 7.5
    return graph


def numbered(graph: Graph, digits: int) -> Graph:
    """The graph with numbers of features as circuit-tracer's first release wrote them."""
    for each, (layer, index) in zip(graph["nodes"], [(0, 3), (1, 40000)], strict=False):
        each["feature"] = layer * 10**digits + index
    return without(graph, "schema_version")


MODELS = (
    *("qwen3-1.7b", "gemma-3-4b-it", "Qwen/Qwen3-0.6B", "meta-llama/Llama-3.1-8B-Instruct", "gpt2-small"),
    *("google/gemma-2-2b", "EleutherAI/pythia-70m-deduped", "mistral-7b-v0.1", "qwen2.5-coder-7b"),
)
TRANSCODERS = (
    *("mntss/clt-gemma-2-2b-2.5M", "mntss/transcoder-Llama-3.2-1B", "mwhanna/qwen3-0.6b-transcoders-lowl0"),
    *("llama-3-131k-relu", "./features/qwen3-4b-transcoders", "me/mine", "gemma", "base-vs-adapter"),
)


UNSAID = [
    (uploaded(), "gemma-2-2b"),
    *((uploaded(scan=scan), scan) for scan in MODELS),
    # Pairings are no numbers of the time when each model had one set.
    (without(uploaded(), "schema_version"), "gemma-2-2b"),
    (without(uploaded(), "schema_version", "transcoder_list"), "gemma-2-2b"),
    (without(uploaded(scan="qwen3-4b"), "schema_version", "transcoder_list"), "qwen3-4b"),
    (uploaded(scan="some-model", info={"creator_url": "https://www.neuronpedia.org"}), "some-model"),
    (uploaded(scan="some-model", info={"generator": {"name": "Neuronpedia Graph"}}), "some-model"),
    (uploaded(info={"source_urls": ["https://neuronpedia.org/gemma-2-2b/graph?slug=hi"]}), "gemma-2-2b"),
    (
        uploaded(info={"source_urls": [f"https://neuronpedia.org/gemma-2-2b/{name}" for name in "ab"]}),
        "gemma-2-2b",
    ),
    (without(uploaded(), "transcoder_list"), "gemma-2-2b"),
    (without(uploaded(scan="some-model"), "transcoder_list"), "some-model"),
    (without(uploaded(scan="some-model"), "transcoder_list", "schema_version"), "some-model"),
    (uploaded(info={"source_urls": ["https://example.org/a"]}), "gemma-2-2b"),
    (eleuther(), None),
]


@pytest.mark.parametrize(("graph", "model"), UNSAID)
def test_files_that_do_not_name_their_transcoders_stay_apart(graph: Graph, model: str | None) -> None:
    first, second = (read_graph(encode(each), "a.json") for each in (graph, again(graph)))
    assert UNNAMED in first.notes
    found, other = first.circuit, second.circuit
    assert found.transcoders.feature_id(0, 3) != other.transcoders.feature_id(0, 3)
    assert found.model.name == (model or f"model of {found.transcoders.name}")
    drawn = json.loads(json.dumps(graph)) | {"qParams": {"pinnedIds": [graph["nodes"][0]["node_id"]]}}
    drawn["nodes"][0]["clerp"] = "greetings"
    assert circuit_of(drawn).transcoders == found.transcoders
    named = read_graph(encode(graph), "a.json", Given("m", "org/clt"))
    assert (named.circuit.transcoders.name, named.circuit.model.name) == ("org/clt", "m")
    assert UNNAMED not in named.notes


@pytest.mark.parametrize("scan", TRANSCODERS)
def test_circuit_tracers_own_files_stay_its_own(scan: str) -> None:
    circuit = circuit_of(uploaded(scan=scan))
    assert circuit.source is not None
    assert (circuit.source.tool, circuit.transcoders.name) == ("circuit-tracer", scan)
    assert circuit.model.name == f"model of {scan}"


@pytest.mark.parametrize("scan", [*TRANSCODERS[:3], "me/own@0123456789ab"])
def test_transcoders_in_scan_are_no_model_whatever_else_a_file_says(scan: str) -> None:
    info = {"source_urls": ["https://example.org/a"], "generator": {"name": "a tool of ours"}}
    for graph in (without(uploaded(scan=scan), "transcoder_list"), uploaded(scan=scan, info=info)):
        circuit = circuit_of(graph)
        assert circuit.source is not None
        assert (circuit.source.tool, circuit.transcoders.id) == ("circuit-tracer", scan)


@pytest.mark.parametrize(("scan", "digits"), [("gemma-2-2b", 5), ("llama-3-131k-relu", 6)])
def test_numbers_of_circuit_tracers_first_release(scan: str, digits: int) -> None:
    graph = numbered(uploaded(scan=scan), digits)
    named = json.loads(json.dumps(graph).replace("_3_1", "-3 at 1").replace("_40000_1", "-40000 at 1"))
    for each in (graph, named):
        circuit = circuit_of(each)
        features = [(node.layer, node.index) for node in circuit.nodes if node.kind == "feature"]
        assert features == [(0, 3), (1, 40000)]
        assert circuit.transcoders.name == (
            "gemma-2-2b/gemmascope-transcoder-16k" if scan == "gemma-2-2b" else scan
        )


def test_a_number_that_contradicts_the_id_of_its_node_is_refused() -> None:
    graph = without(uploaded(scan="me/mine"), "schema_version")
    graph["nodes"][1]["feature"] = 16384 + 40000
    with pytest.raises(FileError, match="feature 56384 does not mean index 40000"):
        circuit_of(graph)


def test_the_version_of_the_schema_may_be_a_text() -> None:
    graph = published("https://neuronpedia.org/gemma-2-2b/clt-hp")
    graph["metadata"]["schema_version"] = "1.0"
    assert circuit_of(graph).transcoders.name == "gemma-2-2b/clt-hp"


def test_pages_are_of_the_set_that_the_file_names() -> None:
    old = numbered(published("", transcoder_set="mntss/clt-gemma-2-2b-2.5M"), 5)
    assert circuit_of(old).transcoders.neuronpedia == "gemma-2-2b/clt-hp"
    assert circuit_of(published("", transcoder_set="gemma")).transcoders.neuronpedia == (
        "gemma-2-2b/gemmascope-transcoder-16k"
    )


@pytest.mark.parametrize(
    ("link", "key", "reason"),
    [
        ({"source": "1_40000_1", "target": "0_3_1", "weight": 1.0}, "links[4]", "goes back from layer 1"),
        ({"source": "0_3_1", "target": "0_3_1", "weight": 1.0}, "links[4]", "goes from a node to itself"),
        ({"source": "0_3_1", "target": "3_11_1", "weight": 1e200}, "links[4].weight", "is 1e\\+200, beyond"),
        ({"source": "0_3_1", "target": "3_11_1", "weight": -3.5e38}, "links[4].weight", "beyond the largest"),
    ],
)
def test_links_that_no_graph_can_have_are_refused_by_number(link: Graph, key: str, reason: str) -> None:
    graph = circuit_tracer()
    graph["links"].append(link)
    with pytest.raises(FileError, match=reason) as refused:
        read_graph(encode(graph), "a.json")
    assert refused.value.key == key


def test_a_circuit_with_an_edge_that_runs_back_is_not_loaded() -> None:
    circuit: Circuit = circuit_of(circuit_tracer())
    turned = [edge._replace(source=edge.target, target=edge.source) for edge in circuit.edges]
    with pytest.raises(InputError, match="goes back from layer"):
        check_record(replace(circuit, edges=tuple(turned)))


def test_influence_that_is_no_share_is_unknown_and_noted() -> None:
    graph = circuit_tracer()
    graph["nodes"][0]["influence"], graph["nodes"][1]["influence"] = 12.3, -0.2
    read = read_graph(encode(graph), "a.json")
    assert [each.cumulative for each in read.circuit.nodes if each.kind == "feature"] == [None, None]
    assert read.notes == (
        "the influence of 2 nodes is outside 0 … 1 (such as 12.3): left unknown, and no influence is derived",
    )  # fmt: skip
    assert [each.influence for each in read.circuit.nodes if each.kind != "logit"] == [None] * 5


def test_a_cumulative_influence_that_32_bits_push_above_1_is_1() -> None:
    graph = circuit_tracer()
    graph["nodes"][4]["influence"] = 1.0000001
    read = read_graph(encode(graph), "a.json")
    assert [each.cumulative for each in read.circuit.nodes if each.kind == "token"] == [0.9, 1.0]
    assert read.notes == ()


def test_small_probabilities_in_scientific_notation_are_read() -> None:
    graph = circuit_tracer()
    graph["nodes"].append(node("3_13_1", 13, "3", 1, "logit", clerp='Output " x" (p=9.9e-05)'))
    (found,) = [each for each in circuit_of(graph).nodes if each.index == 13]
    assert (found.token, found.probability) == (" x", 9.9e-05)


def test_a_logit_with_a_remark_has_its_own_token() -> None:
    graph = circuit_tracer()
    graph["nodes"].append(
        node("3_13_1", 13, "3", 1, "logit", clerp='[Output "big" or "large"] Output "large" (p=0.42)')
    )
    (found,) = [each for each in circuit_of(graph).nodes if each.index == 13]
    assert (found.token, found.probability) == ("large", 0.42)


def test_what_programs_leave_beside_files_is_left_out(tmp_path: Path) -> None:
    names = ("good.json", "also.JSON", "._good.json", "__MACOSX/good.json", ".ipynb_checkpoints/good.json")
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encode(circuit_tracer()))
    assert [each.path.name for each in find([tmp_path])] == ["also.JSON", "good.json"]
    assert [each.path.name for each in find([tmp_path / "._good.json"])] == ["._good.json"]
