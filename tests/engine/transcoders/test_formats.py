"""Every on-disk format of transcoders, written raw, against answers computed straight from the arrays."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray
from safetensors.numpy import save_file

from ingest.engine.attribution.attribute import attribute
from ingest.engine.attribution.prune import prune
from ingest.engine.errors import FormatError
from ingest.engine.heads.loadings import head_loadings
from ingest.engine.intervention.measure import measured_effects
from ingest.engine.replacement.model import ReplacementModel
from ingest.engine.transcoders.formats import circuit_tracer, recognise
from ingest.engine.transcoders.formats.hub import Hub, Reference
from ingest.engine.transcoders.formats.tensors import open_file
from tests.support.engine import PROMPT, Tiny, save

L, N, D, T, K = 3, 10, 6, 5, 3

Array = NDArray[Any]


class Made(NamedTuple):
    """What a format's files mean, computed from the arrays that were written."""

    activations: Callable[[int, Array], Array]
    """layer, read (T, D) → (T, N)"""
    outputs: Callable[[int, list[Array], Array], Array]
    """layer, activations of all layers, read of this one → (T, D)"""
    facts: tuple[str, str, str, str]
    """kind, activation, read_at, write_at"""


def arrays(seed: int) -> Callable[..., NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    return lambda *size: random.normal(size=size).astype(np.float32)


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def top(x: Array, k: int) -> Array:
    """The k largest numbers of each row, by sorting each."""
    found = np.zeros_like(x)
    for row in range(len(x)):
        for column in sorted(range(x.shape[1]), key=lambda c: -x[row, c])[:k]:
            found[row, column] = x[row, column]
    return found


def write_config(folder: Path, **keys: Any) -> None:
    (folder / "config.yaml").write_text(yaml.safe_dump(keys))


HOOKS = {"feature_input_hook": "mlp.hook_in", "feature_output_hook": "mlp.hook_out"}


def tracer_plt(folder: Path, activation: str, skip: bool = False) -> Made:
    made = []
    for i in range(L):
        new = arrays(i)
        raw = {"W_enc": new(N, D), "W_dec": new(N, D), "b_enc": new(N), "b_dec": new(D)}
        if activation == "jumprelu":
            raw["activation_function.threshold"] = abs(new(N))
        if skip:
            raw["W_skip"] = new(D, D)
        save_file(raw, folder / f"layer_{i}.safetensors")
        made.append(raw)
    extra = {"activation": "topk", "k": K} if activation == "topk" else {}
    write_config(folder, model_kind="transcoder_set", model_name="m", scan="set", **HOOKS, **extra)

    def act(i: int, x: Array) -> Array:
        z = x @ made[i]["W_enc"].T + made[i]["b_enc"]
        match activation:
            case "topk":
                return top(z, K)
            case "relu":
                return relu(z)
        return np.where(z > made[i]["activation_function.threshold"], z, 0)

    def out(i: int, a: list[Array], x: Array) -> Array:
        straight = x @ made[i]["W_skip"].T if skip else 0
        return a[i] @ made[i]["W_dec"] + made[i]["b_dec"] + straight

    return Made(act, out, ("plt", activation, "mlp.hook_in", "mlp.hook_out"))


def tracer_clt(folder: Path, activation: str, skip: bool = False) -> Made:
    made = []
    for i in range(L):
        new = arrays(i)
        raw = {f"W_enc_{i}": new(N, D), f"b_enc_{i}": new(N), f"b_dec_{i}": new(D)}
        if activation == "jumprelu":
            raw[f"threshold_{i}"] = abs(new(N))
        if skip:
            raw[f"W_skip_{i}"] = new(D, D)
        writing = {f"W_dec_{i}": new(N, L - i, D)}
        save_file(raw, folder / f"W_enc_{i}.safetensors")
        save_file(writing, folder / f"W_dec_{i}.safetensors")
        made.append(raw | writing)
    write_config(folder, model_kind="cross_layer_transcoder", scan="set", **HOOKS)

    def act(i: int, x: Array) -> Array:
        z = x @ made[i][f"W_enc_{i}"].T + made[i][f"b_enc_{i}"]
        return relu(z) if activation == "relu" else np.where(z > made[i][f"threshold_{i}"], z, 0)

    def out(i: int, a: list[Array], x: Array) -> Array:
        straight = x @ made[i][f"W_skip_{i}"] if skip else 0
        written = sum(a[j] @ made[j][f"W_dec_{j}"][:, i - j] for j in range(i + 1))
        return written + made[i][f"b_dec_{i}"] + straight

    return Made(act, out, ("clt", activation, "mlp.hook_in", "mlp.hook_out"))


def gemma_scope_1(folder: Path, packed: bool = False) -> Made:
    made = []
    for i in range(L):
        new = arrays(i)
        raw = {"W_enc": new(D, N), "W_dec": new(N, D), "b_enc": new(N), "b_dec": new(D)}
        raw["threshold"] = abs(new(N))
        path = folder / f"layer_{i}" / "width_16k" / f"average_l0_{i + 7}" / "params.npz"
        path.parent.mkdir(parents=True)
        (np.savez_compressed if packed else np.savez)(path, **raw)  # type: ignore[arg-type]
        made.append(raw)

    def act(i: int, x: Array) -> Array:
        z = x @ made[i]["W_enc"] + made[i]["b_enc"]
        return np.where(z > made[i]["threshold"], z, 0)

    def out(i: int, a: list[Array], x: Array) -> Array:
        return a[i] @ made[i]["W_dec"] + made[i]["b_dec"]

    return Made(act, out, ("plt", "jumprelu", "ln2.hook_normalized", "hook_mlp_out"))


def gemma_scope_2(folder: Path, crosses: bool, skip: bool) -> Made:
    made = []
    for i in range(L):
        new = arrays(i)
        raw = {"w_enc": new(D, N), "b_enc": new(N), "b_dec": new(D), "threshold": abs(new(N))}
        raw["w_dec"] = new(N, L, D) if crosses else new(N, D)
        if skip:
            raw["affine_skip_connection"] = new(D, D)
        path = folder / (
            f"params_layer_{i}.safetensors" if crosses else f"layer_{i}_width_16k/params.safetensors"
        )
        path.parent.mkdir(exist_ok=True)
        save_file(raw, path)
        made.append(raw)

    def act(i: int, x: Array) -> Array:
        z = x @ made[i]["w_enc"] + made[i]["b_enc"]
        return np.where(z > made[i]["threshold"], z, 0)

    def out(i: int, a: list[Array], x: Array) -> Array:
        straight = x @ made[i]["affine_skip_connection"] if skip else 0
        if crosses:
            written = sum(a[j] @ made[j]["w_dec"][:, i] for j in range(i + 1))
        else:
            written = a[i] @ made[i]["w_dec"]
        return written + made[i]["b_dec"] + straight

    return Made(act, out, ("clt" if crosses else "plt", "jumprelu", "mlp.hook_in", "hook_mlp_out"))


def sparsify(folder: Path, skip: bool) -> Made:
    made = []
    for i in range(L):
        new = arrays(i)
        raw = {"encoder.weight": new(N, D), "encoder.bias": new(N), "W_dec": new(N, D), "b_dec": new(D)}
        if skip:
            raw["W_skip"] = new(D, D)
        path = folder / f"layers.{i}.mlp"
        path.mkdir()
        save_file(raw, path / "sae.safetensors")
        config = {"activation": "topk", "k": K, "d_in": D, "transcode": True, "skip_connection": skip}
        (path / "cfg.json").write_text(json.dumps(config))
        made.append(raw)

    def act(i: int, x: Array) -> Array:
        return top(relu(x @ made[i]["encoder.weight"].T + made[i]["encoder.bias"]), K)

    def out(i: int, a: list[Array], x: Array) -> Array:
        straight = x @ made[i]["W_skip"].T if skip else 0
        return a[i] @ made[i]["W_dec"] + made[i]["b_dec"] + straight

    return Made(act, out, ("plt", "topk", "mlp.hook_in", "mlp.hook_out"))


FORMATS: dict[str, Callable[[Path], Made]] = {
    "circuit-tracer by layer, ReLU": lambda folder: tracer_plt(folder, "relu"),
    "circuit-tracer by layer, JumpReLU, skip": lambda folder: tracer_plt(folder, "jumprelu", skip=True),
    "circuit-tracer by layer, TopK, skip": lambda folder: tracer_plt(folder, "topk", skip=True),
    "circuit-tracer cross-layer, ReLU": lambda folder: tracer_clt(folder, "relu"),
    "circuit-tracer cross-layer, JumpReLU, skip": lambda folder: tracer_clt(folder, "jumprelu", skip=True),
    "GemmaScope 1": gemma_scope_1,
    "GemmaScope 1, packed": lambda folder: gemma_scope_1(folder, packed=True),
    "GemmaScope 2 by layer": lambda folder: gemma_scope_2(folder, crosses=False, skip=False),
    "GemmaScope 2 by layer, skip": lambda folder: gemma_scope_2(folder, crosses=False, skip=True),
    "GemmaScope 2 cross-layer, skip": lambda folder: gemma_scope_2(folder, crosses=True, skip=True),
    "sparsify": lambda folder: sparsify(folder, skip=False),
    "sparsify, skip": lambda folder: sparsify(folder, skip=True),
}


@pytest.mark.parametrize("write", FORMATS.values(), ids=FORMATS.keys())
def test_a_format_means_what_its_arrays_say(write: Callable[[Path], Made], tmp_path: Path) -> None:
    made = write(tmp_path)
    found = recognise.read(tmp_path, dtype=torch.float64)
    assert (found.kind, found.activation, found.read_at, found.write_at) == made.facts
    assert {*found.files} == {path for path in tmp_path.rglob("*") if path.is_file()}
    read = np.random.default_rng(9).normal(size=(L, T, D))
    active = found.encode(torch.from_numpy(read), skip_first=False)
    expected = [made.activations(i, read[i]) for i in range(L)]
    dense = torch.zeros(L, T, N, dtype=torch.float64)
    dense[tuple(active.where.T)] = active.activation
    assert len(active.activation) == sum(np.count_nonzero(a) for a in expected) > 0
    torch.testing.assert_close(dense, torch.from_numpy(np.stack(expected)), rtol=1e-12, atol=1e-12)
    for i, (rows, vectors) in enumerate(found.writes(active)):
        output = found.layers[i].base(torch.from_numpy(read[i])).expand(T, D)
        output = output.index_add(0, active.where[rows, 1], vectors)
        wanted = torch.from_numpy(made.outputs(i, expected, read[i]))
        torch.testing.assert_close(output, wanted, rtol=1e-12, atol=1e-12)


def test_a_list_of_files_orders_the_layers_and_names_the_hooks(tmp_path: Path) -> None:
    made = gemma_scope_1(tmp_path)
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.npz"))
    hooks = {"feature_input_hook": "ln2.hook_normalized", "feature_output_hook": "hook_mlp_out"}
    write_config(tmp_path, model_kind="transcoder_set", transcoders=files[::-1], model_name="g", **hooks)
    found = recognise.read(tmp_path, dtype=torch.float64)
    read = np.random.default_rng(9).normal(size=(T, D))
    for i in range(L):
        wanted = torch.from_numpy(made.activations(L - 1 - i, read))
        torch.testing.assert_close(found.layers[i].activate(torch.from_numpy(read)), wanted)
    assert (found.read_at, found.model_name) == ("ln2.hook_normalized", "g")


# The hub's cache, as huggingface_hub lays it out.

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def cached(cache: Path, repository: str, revision: str = "main") -> Path:
    """An empty snapshot in the cache."""
    place = cache / f"models--{repository.replace('/', '--')}"
    snapshot = place / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (place / "refs").mkdir()
    (place / "refs" / revision).write_text(COMMIT)
    return snapshot


@pytest.mark.parametrize(
    ("reference", "revision", "inside"),
    [
        ("hf://org/set", "main", ""),
        ("hf://org/set@v2", "v2", ""),
        ("hf://org/set/small/best", "main", "small/best"),
        ("hf://org/set/small@v2", "v2", "small"),
        ("hf:/org/set", "main", ""),
    ],
)
def test_a_hub_reference_is_read_from_the_cache(
    reference: str, revision: str, inside: str, tmp_path: Path
) -> None:
    folder = cached(tmp_path / "cache", "org/set", revision) / inside
    folder.mkdir(parents=True, exist_ok=True)
    sparsify(folder, skip=False)
    found = recognise.read(reference, hub=Hub(offline=True, cache=tmp_path / "cache"))
    plain = recognise.read(folder)
    assert found.name == reference.removeprefix("hf:").lstrip("/")
    assert found.files == plain.files
    for one, other in zip(found.layers, plain.layers, strict=True):
        assert torch.equal(one.encoder, other.encoder)
        assert torch.equal(one.decoder, other.decoder)


def test_hub_references_in_a_config_are_read_from_the_cache(tmp_path: Path) -> None:
    cache, local = tmp_path / "cache", tmp_path / "local"
    local.mkdir()
    snapshot = cached(cache, "google/scope", "v1")
    gemma_scope_1(snapshot)
    files = sorted(path.relative_to(snapshot).as_posix() for path in snapshot.rglob("*.npz"))
    listed = [f"hf://google/scope/{file}?revision=v1" for file in files]
    write_config(local, model_kind="transcoder_set", transcoders=listed)
    found = recognise.read(local, hub=Hub(offline=True, cache=cache))
    assert found.files[1:] == tuple(snapshot / file for file in files)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("hf://org/other", "hf://org/other is not in the cache, and nothing may be downloaded"),
        ("hf://org/set@v9", "hf://org/set@v9 is not in the cache, and nothing may be downloaded"),
        ("hf://org", "'hf://org' is no reference to the hub"),
        ("hf://org/set/../x", "'hf://org/set/../x' is no reference to the hub"),
        ("hf://org/set", "set/snapshots/" + COMMIT + " holds no transcoders in a known format"),
    ],
)
def test_a_hub_reference_that_cannot_be_read_says_why(reference: str, message: str, tmp_path: Path) -> None:
    cached(tmp_path, "org/set")
    with pytest.raises(FormatError) as caught:
        recognise.read(reference, hub=Hub(offline=True, cache=tmp_path))
    assert message in caught.value.what
    assert caught.value.next_step


@pytest.mark.parametrize("model_name", [True, False])
def test_a_model_and_its_transcoders_come_from_the_cache(model_name: bool, tmp_path: Path) -> None:
    folders = save(Tiny(), tmp_path)
    config = folders.transcoders / "config.yaml"
    if not model_name:
        config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | {"model_name": None}))
    cache = tmp_path / "cache"
    shutil.copytree(folders.model, cached(cache, "org/lm"), dirs_exist_ok=True)
    shutil.copytree(folders.transcoders, cached(cache, "org/clt", "v1"), dirs_exist_ok=True)
    hub = Hub(offline=True, cache=cache)
    # As the command line gives it: a Path joins the slashes.
    found = ReplacementModel.load(Path("hf://org/lm"), Path("hf://org/clt@v1"), hub=hub)
    assert (found.name, found.transcoders.name) == ("tiny" if model_name else "org/lm", "org/clt@v1")
    plain = attribute(ReplacementModel.load(*folders), PROMPT)
    assert torch.equal(attribute(found, PROMPT).adjacency, plain.adjacency)
    with pytest.raises(FormatError, match="hf://org/none is not in the cache"):
        ReplacementModel.load("hf://org/none", "hf://org/clt@v1", hub=hub)


@pytest.mark.parametrize("read_at", ["mlp.hook_in", "hook_resid_mid", "ln2.hook_normalized"])
def test_skip_connections_count_in_measured_edges_and_go_past_the_heads(read_at: str, tmp_path: Path) -> None:
    folders = save(Tiny(skip=True, read_at=read_at), tmp_path)
    model = ReplacementModel.load(*folders, dtype=torch.float64)
    graph = attribute(model, PROMPT)
    sources = torch.arange(graph.logit_nodes.start)
    driven = torch.cat([torch.arange(graph.n_features), torch.arange(graph.logit_nodes.start, graph.n_nodes)])
    measured = measured_effects(model, graph, sources)[driven]
    edges = graph.adjacency[driven][:, sources].double()
    assert int((edges != 0).sum()) > 1000
    torch.testing.assert_close(measured, edges, rtol=1e-4, atol=1e-5)
    found = head_loadings(model, graph, prune(graph, node_threshold=1, edge_threshold=1))
    total = found.heads.sum(-1) + found.past + found.above
    for layer in range(3):
        mine = found.crosses[layer]
        torch.testing.assert_close(
            total[layer, mine], found.weight[mine].to(total.dtype), rtol=1e-5, atol=1e-6
        )


def test_references_are_parsed_as_written() -> None:
    assert Reference.parse("hf://a/b/c/d.npz?revision=r") == Reference("a/b", "c/d.npz", "r")
    assert str(Reference.parse("hf://a/b/c@r")) == "hf://a/b/c@r"


# Bad files.


def drop(path: Path, name: str) -> None:
    save_file({key: value for key, value in raw(path).items() if key != name}, path)


def raw(path: Path) -> dict[str, NDArray[np.float32]]:
    return {name: tensor.numpy().copy() for name, tensor in open_file(path).tensors.items()}


def change(path: Path, name: str, value: NDArray[Any]) -> None:
    save_file(raw(path) | {name: value}, path)


BAD: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "a missing layer": (
        "sparsify",
        lambda folder: (folder / "layers.1.mlp/sae.safetensors").unlink(),
        "has no file of layer 1, though it has layer 2",
    ),
    "no cfg.json": (
        "sparsify",
        lambda folder: (folder / "layers.1.mlp/cfg.json").unlink(),
        "layers.1.mlp has no cfg.json",
    ),
    "an autoencoder": (
        "sparsify",
        lambda folder: (folder / "layers.1.mlp/cfg.json").write_text('{"k": 3, "transcode": false}'),
        "layers.1.mlp/cfg.json says transcode: false",
    ),
    "too large a k": (
        "sparsify",
        lambda folder: (folder / "layers.1.mlp/cfg.json").write_text('{"k": 11, "transcode": true}'),
        "layers.1.mlp/cfg.json says k: 11",
    ),
    "another activation": (
        "sparsify",
        lambda folder: (folder / "layers.1.mlp/cfg.json").write_text(
            '{"k": 2, "transcode": true, "activation": "groupmax"}'
        ),
        "layers.1.mlp/cfg.json says activation: groupmax",
    ),
    "not JSON": (
        "sparsify",
        lambda folder: (folder / "layers.1.mlp/cfg.json").write_text("{"),
        "layers.1.mlp/cfg.json cannot be read as JSON",
    ),
    "a missing tensor": (
        "sparsify",
        lambda folder: drop(folder / "layers.2.mlp/sae.safetensors", "b_dec"),
        "layers.2.mlp/sae.safetensors has no tensor b_dec",
    ),
    "a wrong shape": (
        "circuit-tracer by layer, ReLU",
        lambda folder: change(folder / "layer_1.safetensors", "W_dec", np.zeros((4, 6), np.float32)),
        "layer_1.safetensors: W_dec is 4 × 6 where 10 × 6 is expected",
    ),
    "a number that is none": (
        "circuit-tracer by layer, ReLU",
        lambda folder: change(folder / "layer_1.safetensors", "b_enc", np.full(N, np.nan, np.float32)),
        "layer_1.safetensors: b_enc holds numbers that are not finite",
    ),
    "no configuration": (
        "circuit-tracer by layer, ReLU",
        lambda folder: (folder / "config.yaml").unlink(),
        " has no config.yaml",
    ),
    "topk without k": (
        "circuit-tracer by layer, ReLU",
        lambda folder: write_config(folder, model_kind="transcoder_set", activation="topk"),
        "config.yaml says activation: topk and k: None",
    ),
    "a k above the width": (
        "circuit-tracer by layer, ReLU",
        lambda folder: write_config(folder, model_kind="transcoder_set", activation="topk", k=11),
        "config.yaml says k: 11, and ",
    ),
    "no list": (
        "circuit-tracer by layer, ReLU",
        lambda folder: write_config(folder, model_kind="transcoder_set", transcoders="all"),
        "config.yaml: transcoders is no list of files",
    ),
    "a listed file that is not there": (
        "circuit-tracer by layer, ReLU",
        lambda folder: write_config(folder, model_kind="transcoder_set", transcoders=["x.safetensors"]),
        " has no x.safetensors",
    ),
    "two files of a layer": (
        "GemmaScope 1",
        lambda folder: (folder / "layer_1/other.npz").write_bytes(b""),
        "has more than one file of layer 1: layer_1/other.npz and layer_1/width_16k/average_l0_8/params.npz",
    ),
    "a pickle": (
        "GemmaScope 1",
        lambda folder: np.savez(
            next(folder.glob("layer_1/*/*/params.npz")), W_enc=np.array([print], dtype=object)
        ),
        "params.npz is damaged: W_enc holds Python objects, which are never read",
    ),
    "a cut file": (
        "GemmaScope 1",
        lambda folder: next(folder.glob("layer_1/*/*/params.npz")).write_bytes(b"PK\3\4"),
        "params.npz is damaged: File is not a zip file",
    ),
    "a decoder for more layers": (
        "GemmaScope 2 cross-layer, skip",
        lambda folder: change(
            folder / "params_layer_1.safetensors", "w_dec", np.zeros((N, L + 1, D), np.float32)
        ),
        "params_layer_1.safetensors: w_dec is 10 × 4 × 6 where 10 × 3 × 6 is expected",
    ),
    "tensors of no format": (
        "GemmaScope 2 by layer",
        lambda folder: save_file({"w": np.zeros(3)}, folder / "layer_1_width_16k/params.safetensors"),
        "params.safetensors is in no known format: its tensors are w",
    ),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD.keys())
def test_bad_files_say_what_is_wrong(case: tuple[str, Callable[[Path], object], str], tmp_path: Path) -> None:
    name, spoil, message = case
    FORMATS[name](tmp_path)
    spoil(tmp_path)
    with pytest.raises(FormatError) as caught:
        recognise.read(tmp_path)
    assert message in caught.value.what
    assert caught.value.next_step


def test_a_decoder_row_that_is_not_finite_is_named_when_it_is_used(tmp_path: Path) -> None:
    tracer_plt(tmp_path, "relu")
    path = tmp_path / "layer_1.safetensors"
    decoder = raw(path)["W_dec"]
    decoder[7, 2] = np.inf
    change(path, "W_dec", decoder)
    found = recognise.read(tmp_path)
    found.decoder_rows(1, torch.tensor([6, 8]), torch.float32)
    with pytest.raises(FormatError) as caught:
        found.decoder_rows(1, torch.tensor([6, 7]), torch.float32)
    assert caught.value.what == f"{path}: W_dec holds a number that is not finite, in feature 7"


# Memory.


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="asks Linux for the memory in use")
def test_memory_follows_the_active_features_not_the_dictionary(tmp_path: Path) -> None:
    n_features, n_layers, d_model = 4096, 1024, 64
    size = (n_features, n_layers, d_model)
    n_bytes = math.prod(size) * 4
    header = json.dumps({"W_dec_0": {"dtype": "F32", "shape": size, "data_offsets": [0, n_bytes]}}).encode()
    header += b" " * (-len(header) % 8)
    path = tmp_path / "W_dec_0.safetensors"
    with path.open("wb") as file:
        # 1 GiB of zeros, which take no room on the disk.
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + n_bytes)
    small = {"W_enc_0": (n_features, d_model), "b_enc_0": (n_features,), "b_dec_0": (d_model,)}
    save_file(
        {name: np.zeros(shape, np.float32) for name, shape in small.items()}, tmp_path / "W_enc_0.safetensors"
    )
    before = resident()
    layer = circuit_tracer.cross_layer(
        tmp_path / "W_enc_0.safetensors", path, 0, n_layers, device="cpu", dtype=torch.float32
    )
    rows = layer.decoder[torch.arange(0, n_features, 64)]
    used = resident() - before
    assert rows.shape == (64, n_layers, d_model)
    # The rows themselves are 16 MiB, twice: in the file's pages and gathered.
    assert used < 96 << 20 < n_bytes / 8
