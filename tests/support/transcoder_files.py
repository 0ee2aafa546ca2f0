"""Writes transcoders in every on-disk format, and computes from the arrays what the files mean."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray
from safetensors.numpy import save_file

from ingest.engine.transcoders.formats.tensors import open_file

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


def sae_lens(folder: Path, activation: str, skip: bool) -> Made:
    made = []
    for i in range(L):
        new = arrays(i)
        raw = {"W_enc": new(D, N), "W_dec": new(N, D), "b_enc": new(N), "b_dec": new(D)}
        if activation == "jumprelu":
            raw["threshold"] = new(N)  # some are negative: only positive numbers pass
        if skip:
            raw["W_skip"] = new(D, D)
        path = folder / f"set-{L - i}"
        path.mkdir()
        save_file(raw, path / "sae_weights.safetensors")
        hooks = {"hook_name": f"blocks.{i}.ln2.hook_normalized", "hook_name_out": f"blocks.{i}.hook_mlp_out"}
        architecture = "_".join((*["jumprelu"] * (activation == "jumprelu"), *["skip"] * skip, "transcoder"))
        config = {"architecture": architecture, "d_in": D, "d_out": D, "d_sae": N, "dtype": "float32"}
        config |= {"normalize_activations": "none", "apply_b_dec_to_input": False}
        config |= {"metadata": hooks} if skip else hooks
        (path / "cfg.json").write_text(json.dumps(config))
        made.append(raw)

    def act(i: int, x: Array) -> Array:
        z = x @ made[i]["W_enc"] + made[i]["b_enc"]
        return relu(z) if activation == "relu" else relu(z) * (z > made[i]["threshold"])

    def out(i: int, a: list[Array], x: Array) -> Array:
        straight = x @ made[i]["W_skip"].T if skip else 0
        return a[i] @ made[i]["W_dec"] + made[i]["b_dec"] + straight

    return Made(act, out, ("plt", activation, "ln2.hook_normalized", "hook_mlp_out"))


def crosslayer_coding(folder: Path, tying: str, *, old: bool = False, normalised: bool = False) -> Made:
    new = arrays(7)
    raw: dict[str, Array] = {}
    stats: dict[str, Any] = {}
    encoders, decoders = (
        ("encoders", "decoders") if old else ("encoder_module.encoders", "decoder_module.decoders")
    )

    def key(i: int, j: int) -> str:
        return {"none": f"{i}->{j}", "per_target": str(j), "per_source": str(i)}[tying]

    for i in range(L):
        raw |= {f"{encoders}.{i}.weight": new(N, D), f"{encoders}.{i}.bias_param": new(N)}
        for j in range(i, L):
            raw[f"{decoders}.{key(i, j)}.weight"] = new(D, N)
            raw[f"{decoders}.{key(i, j)}.bias_param"] = new(D)
        stats[str(i)] = {
            side: {"mean": new(D).tolist(), "std": (abs(new(D)) + 0.5).tolist()}
            for side in ("inputs", "targets")
        }
    raw["log_threshold" if old else "theta_manager.log_threshold"] = new(L, N)
    save_file(raw, folder / "clt.safetensors")
    config = {"num_features": N, "num_layers": L, "d_model": D, "activation_fn": "jumprelu"}
    config |= {"decoder_tying": tying, "normalization_method": "mean_std" if normalised else "none"}
    (folder / "cfg.json").write_text(json.dumps(config))
    if normalised:
        (folder / "norm_stats.json").write_text(json.dumps(stats))

    def stat(i: int, side: str, what: str, otherwise: float) -> Any:
        return np.array(stats[str(i)][side][what]) if normalised else otherwise

    def act(i: int, x: Array) -> Array:
        scaled = (x - stat(i, "inputs", "mean", 0.0)) / stat(i, "inputs", "std", 1.0)
        z = scaled @ raw[f"{encoders}.{i}.weight"].T + raw[f"{encoders}.{i}.bias_param"]
        name = "log_threshold" if old else "theta_manager.log_threshold"
        return np.where(z > np.exp(raw[name][i]), z, 0)

    def out(j: int, a: list[Array], x: Array) -> Array:
        if tying == "per_target":
            total = sum(a[: j + 1]) @ raw[f"{decoders}.{j}.weight"].T + raw[f"{decoders}.{j}.bias_param"]
        else:
            total = sum(  # type: ignore[assignment]
                a[i] @ raw[f"{decoders}.{key(i, j)}.weight"].T + raw[f"{decoders}.{key(i, j)}.bias_param"]
                for i in range(j + 1)
            )
        return total * stat(j, "targets", "std", 1.0) + stat(j, "targets", "mean", 0.0)

    return Made(act, out, ("clt", "jumprelu", "mlp.hook_in", "mlp.hook_out"))


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
    "SAELens": lambda folder: sae_lens(folder, "relu", skip=False),
    "SAELens, JumpReLU, skip": lambda folder: sae_lens(folder, "jumprelu", skip=True),
    "crosslayer-coding": lambda folder: crosslayer_coding(folder, "none"),
    "crosslayer-coding, normalised": lambda folder: crosslayer_coding(folder, "none", normalised=True),
    "crosslayer-coding, tied by target": lambda folder: crosslayer_coding(
        folder, "per_target", normalised=True
    ),
    "crosslayer-coding, tied by source, old": lambda folder: crosslayer_coding(
        folder, "per_source", old=True
    ),
}


# Bad files.


def drop(path: Path, name: str) -> None:
    save_file({key: value for key, value in raw(path).items() if key != name}, path)


def raw(path: Path) -> dict[str, NDArray[np.float32]]:
    return {name: tensor.numpy().copy() for name, tensor in open_file(path).tensors.items()}


def change(path: Path, name: str, value: NDArray[Any]) -> None:
    save_file(raw(path) | {name: value}, path)


def change_json(path: Path, **keys: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))
