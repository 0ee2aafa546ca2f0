"""circuit-tracer's `.pt` graphs are pruned as our own graphs are."""

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ingest.imports.unpruned import read_circuit
from schema.circuit.records import NodeKind
from schema.errors import FileError, InputError
from schema.exports.graph_json import to_json
from schema.formats.circuit_tracer_pt import read_pt
from schema.formats.files import FileKind, find, read
from schema.formats.graph import Given, is_unnamed, read_graph
from tests.support.graph_files import circuit_tracer, encode, pt_values, save_pt
from tests.support.little_graph import circuit_of


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "graph.pt"
    save_pt(path, pt_values())
    return path


def test_a_graph_is_read_whole(graph: Path) -> None:
    found, values = read_pt(str(graph)), pt_values()
    assert (found.text, found.token_ids, found.n_layers, found.vocab_size) == (
        "one two three",
        (0, 1, 2, 3),
        3,
        50,
    )
    assert (found.scan, found.model_name, found.architecture) == ("org/clt@abc", "model", "LlamaForCausalLM")
    assert found.logits == (("up", 5), ("up - down", None))  # 51 is no token of 50
    np.testing.assert_array_equal(found.adjacency, values["adjacency_matrix"].numpy())
    np.testing.assert_array_equal(found.active, values["active_features"].numpy())
    np.testing.assert_array_equal(found.selected, values["selected_features"].numpy())


def test_features_in_another_order_give_the_same_graph(tmp_path: Path, graph: Path) -> None:
    values = pt_values()
    order = torch.randperm(30, generator=torch.Generator().manual_seed(1))
    back = order.argsort()
    selected = back[values["selected_features"]]
    shuffle = torch.randperm(25, generator=torch.Generator().manual_seed(2))
    nodes = torch.cat([shuffle, torch.arange(25, len(values["adjacency_matrix"]))])
    values |= {
        "active_features": values["active_features"][order],
        "activation_values": values["activation_values"][order],
        "selected_features": selected[shuffle],
        "adjacency_matrix": values["adjacency_matrix"][nodes][:, nodes],
    }
    save_pt(tmp_path / "other.pt", values)
    one, other = read_pt(str(graph)), read_pt(str(tmp_path / "other.pt"))
    for name in ("active", "activations", "selected", "adjacency"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def slow_influence(matrix: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The sum over all paths, term by term."""
    size = np.abs(matrix)
    share = size / np.maximum(size.sum(1, keepdims=True), 1e-30)
    total, term = np.zeros(len(weights)), weights
    for _ in range(len(weights)):
        term = term @ share
        total += term
    return total


def test_what_the_file_lacks_is_computed(graph: Path) -> None:
    values = pt_values()
    matrix = values["adjacency_matrix"].double().numpy()
    weights = np.zeros(len(matrix))
    weights[-2:] = values["logit_probabilities"].double().numpy()
    influence = slow_influence(matrix, weights)
    n_features, n_errors = 25, 12
    errors = influence[n_features : n_features + n_errors].sum()
    tokens = influence[n_features + n_errors : -2].sum()
    whole = read_circuit(graph, node_threshold=1, edge_threshold=1)
    assert whole.replacement_score == pytest.approx(tokens / (tokens + errors))
    assert whole.kept_influence == 1
    assert (whole.n_active_features, whole.n_selected_features) == (30, 25)
    assert [n.influence for n in whole.nodes if n.kind is NodeKind.FEATURE] == pytest.approx(
        [value for value in influence[:n_features].tolist() if value >= 0], rel=1e-5, abs=1e-9
    )
    for edge in whole.edges:
        assert edge.share is not None
        assert 0 < edge.share <= 1
    assert (whole.target, whole.special_first_token, whole.dtype) == (None, None, "float32")
    assert [(n.token, n.index) for n in whole.nodes if n.kind is NodeKind.LOGIT] == [
        ("up - down", None),
        ("up", 5),
    ]
    assert whole.prompt.tokens == ("‹0›", "‹1›", "‹2›", "‹3›")
    pruned = read_circuit(graph, node_threshold=0.6, edge_threshold=0.8)
    assert len(pruned.nodes) < len(whole.nodes)
    assert pruned.id != whole.id
    assert read_circuit(graph, node_threshold=0.6, edge_threshold=0.8) == pruned
    assert read_graph(encode(to_json(pruned)), "x").circuit == pruned


def test_names_that_are_given(graph: Path) -> None:
    found = read_circuit(graph, Given("gemma", "mine", "numbers", ("a",)))
    assert (found.model.name, found.transcoders.id, found.prompt.family) == ("gemma", "mine", "numbers")
    assert read_circuit(graph).transcoders.id == "org/clt@abc"


@pytest.mark.parametrize("name", ["a b.pt", "a b.PT", "a b.Pt.GZ", "a b"])
def test_the_name_of_the_file_is_the_slug(tmp_path: Path, name: str) -> None:
    save_pt(path := tmp_path / name, pt_values())
    source = read_circuit(path).source
    assert source is not None
    assert source.slug == "a b"


def test_graphs_that_name_only_their_model_stay_apart(tmp_path: Path) -> None:
    found = []
    for seed in range(2):
        save_pt(path := tmp_path / f"{seed}.pt", pt_values(seed) | {"scan": "gemma-2-2b"})
        found.append(read_circuit(path))
    assert all(is_unnamed(each.transcoders) for each in found)
    assert found[0].transcoders.id != found[1].transcoders.id
    assert read_circuit(path, Given(transcoders="mine")).transcoders.id == "mine"


def test_a_list_of_transcoders_has_the_name_that_it_has_in_json(tmp_path: Path) -> None:
    save_pt(path := tmp_path / "list.pt", pt_values() | {"scan": ["a", "b"]})
    graph = circuit_tracer()
    graph["metadata"] |= {"transcoder_list": ["a", "b"], "scan": "custom-42"}
    assert read_circuit(path).transcoders.name == circuit_of(graph).transcoders.name


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("adjacency_matrix", torch.zeros(3, 3), "is not 43 × 43"),
        ("adjacency_matrix", torch.full((43, 43), float("nan")), "holds NaN"),
        ("adjacency_matrix", None, "the file: lacks adjacency_matrix, which every graph"),
        ("active_features", torch.full((30, 3), 99), "has a layer, position or index out of range"),
        ("activation_values", torch.zeros(7), "does not have the length of active_features"),
        ("selected_features", torch.full((25,), 3), "names a feature twice"),
        ("selected_features", torch.full((25,), 300), "is out of range"),
        ("logit_probabilities", torch.zeros(9), "does not have the length of logit_targets"),
        ("logit_targets", 5, "is not a list"),
        ("input_string", 5, "is not a text"),
        ("cfg", None, "is not a number of layers"),
        ("scan", None, "is empty"),
        ("scan", ["org/clt", 3], "scan: is not a list of names"),
        ("vocab_size", torch.zeros(4), None),
        ("input_string", "\ud800", "data.pkl: is damaged"),
    ],
)
def test_a_graph_that_does_not_hold_together_is_refused(
    tmp_path: Path, key: str, value: Any, reason: str | None
) -> None:
    path = tmp_path / "bad.pt"
    save_pt(path, pt_values() | {key: value})
    if reason is None:  # the configuration says it too
        assert read_pt(str(path)).vocab_size == 50
        return
    with pytest.raises(FileError, match=reason):
        read_circuit(path)


def test_damaged_files_are_refused(tmp_path: Path, graph: Path) -> None:
    data = graph.read_bytes()
    path = tmp_path / "damaged.pt"
    rng = np.random.default_rng(0)
    refused = 0
    for number in range(120):
        damaged = bytearray(data[: int(rng.integers(len(data)))] if number % 2 else data)
        if damaged:
            for place in rng.integers(len(damaged), size=int(rng.integers(1, 30))):
                damaged[place] = int(rng.integers(256))
        path.write_bytes(bytes(damaged))
        try:
            read_pt(str(path))
        except FileError:
            refused += 1
    assert refused >= 60


def packed(source: Path, target: Path) -> bytes:
    """The same file with its parts compressed, as other zip tools write it."""
    with (
        zipfile.ZipFile(source) as one,
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as other,
    ):
        for name in one.namelist():
            other.writestr(name, one.read(name))
    return target.read_bytes()


def test_damaged_compressed_files_are_refused(tmp_path: Path, graph: Path) -> None:
    path = tmp_path / "packed.pt"
    data = packed(graph, path)
    assert read_pt(str(path)).token_ids == read_pt(str(graph)).token_ids
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(200):
        damaged = bytearray(data)
        for place in rng.integers(len(damaged), size=3):
            damaged[place] = int(rng.integers(256))
        path.write_bytes(bytes(damaged))
        try:
            read_pt(str(path))
        except FileError:
            refused += 1
    assert refused >= 100


def test_a_file_with_a_password_is_refused(tmp_path: Path, graph: Path) -> None:
    data = bytearray(graph.read_bytes())
    data[data.find(b"PK\x01\x02") + 8] |= 1  # the flag in the list of contents
    path = tmp_path / "locked.pt"
    path.write_bytes(bytes(data))
    with pytest.raises(FileError, match=r"the file: is not a file of torch\.save: .* is encrypted"):
        read_pt(str(path))


def test_a_small_file_that_unpacks_to_very_much_is_refused(tmp_path: Path, graph: Path) -> None:
    path = tmp_path / "bomb.pt"
    packed(graph, path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("x/data/9", "w") as file:
        for _ in range(1024):
            file.write(bytes(1 << 20))
    assert path.stat().st_size < 2 << 20
    with pytest.raises(FileError, match="the file: unpacks to more than 99 MB"):
        read_pt(str(path))


def test_gzip_does_not_matter(tmp_path: Path, graph: Path) -> None:
    path = tmp_path / "graph.pt.gz"
    path.write_bytes(gzip.compress(graph.read_bytes()))
    (found,) = find([path])
    assert (found.path, found.kind) == (path, FileKind.PT)
    assert read_circuit(path, data=read(path)) == read_circuit(graph)


def test_the_first_releases_name_of_the_logits_is_read(tmp_path: Path) -> None:
    values = pt_values()
    values["logit_tokens"] = torch.tensor([5, 7])
    del values["logit_targets"]
    save_pt(tmp_path / "first.pt", values)
    assert read_pt(str(tmp_path / "first.pt")).logits == ((None, 5), (None, 7))


def test_missing_keys_are_named_once(tmp_path: Path) -> None:
    values = pt_values()
    del values["adjacency_matrix"], values["selected_features"]
    save_pt(tmp_path / "other.pt", values)
    with pytest.raises(FileError, match="lacks adjacency_matrix, selected_features, which every graph"):
        read_pt(str(tmp_path / "other.pt"))


def test_code_that_a_tokenizer_brings_is_never_run(
    graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--tokenizer` names any folder, and transformers asks on the terminal whether to run its code."""
    folder, marker = tmp_path / "tokenizer", tmp_path / "ran"
    folder.mkdir()
    classes = {"AutoTokenizer": ["code.Mine", "code.Mine"], "AutoConfig": "code.Config"}
    for name, more in (("tokenizer_config.json", {"tokenizer_class": "Mine"}), ("config.json", {})):
        (folder / name).write_text(json.dumps({"model_type": "mine", "auto_map": classes, **more}))
    (folder / "code.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 9))
    with pytest.raises(InputError, match="has no tokenizer that fits these graphs"):
        read_circuit(graph, tokenizer=folder)
    assert not marker.exists()
