"""Reader of the transcoders that SAELens trains or saves.

    …/cfg.json                   architecture, d_in, d_sae, d_out, normalize_activations,
                                 apply_b_dec_to_input, and hook_name and hook_name_out, at the top or under
                                 `metadata`
    …/sae_weights.safetensors    W_enc (d_in, d_sae), b_enc (d_sae,), W_dec (d_sae, d_out), b_dec (d_out,),
                                 and optionally threshold (d_sae,), W_skip (d_out, d_in)

One folder for each layer. The layer's number is in the hook's name, such as blocks.3.hook_mlp_out. The
activation function is ReLU, or with a threshold JumpReLU of the positive numbers.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ingest.engine.errors import FormatError
from ingest.engine.transcoders.formats.tensors import open_file, place, read_json
from ingest.engine.transcoders.transcoder import Transcoder

WEIGHTS = "sae_weights.safetensors"
ARCHITECTURES = ("transcoder", "skip_transcoder", "jumprelu_transcoder", "jumprelu_skip_transcoder")
READ = {
    "hook_resid_mid": "hook_resid_mid",
    # In TransformerLens this is a copy of the stream before the norm.
    "hook_mlp_in": "hook_resid_mid",
    "ln2.hook_normalized": "ln2.hook_normalized",
    "mlp.hook_in": "mlp.hook_in",
}
"""Where SAELens's hooks read, by the names of `TranscoderSet.read_at`."""
WRITE = ("hook_mlp_out", "mlp.hook_out")


class SavedLayer(NamedTuple):
    """One layer's folder."""

    number: int
    transcoder: Transcoder
    hooks: dict[str, str]
    """`read_at` and `write_at` of the set."""
    files: tuple[Path, Path]


def layer(weights: Path, *, device: torch.device | str, dtype: torch.dtype) -> SavedLayer:
    """Read one layer and its cfg.json. Raises FormatError when either is damaged or not supported."""
    config_file = weights.with_name("cfg.json")
    config = read_json(config_file)
    said = {**config, **(config.get("metadata") or {})}
    _check(config_file, config)
    number, read_at = _hook(config_file, said, "hook_name", READ)
    where, write_at = _hook(config_file, said, "hook_name_out", {name: name for name in WRITE})
    if where != number:
        raise FormatError(
            f"{config_file} reads at layer {number} and writes at layer {where}",
            next_step="use transcoders that write to the layer that they read",
        )
    if str(said.get("hf_hook_name", "")).endswith("layernorm.output"):
        read_at = "mlp.hook_in"
    file = open_file(weights)
    encoder = file.take("W_enc", (None, None))
    d_model, n_features = encoder.shape
    threshold = None
    if "threshold" in file.tensors:
        # The mask applies to the positive numbers.
        threshold = file.take("threshold", (n_features,), infinite=True).clamp(min=0)
    found = place(
        encoder=encoder.T,
        encoder_bias=file.take("b_enc", (n_features,)),
        decoder=file.take("W_dec", (n_features, d_model), rows_later=True)[:, None],
        decoder_bias=file.take("b_dec", (d_model,)),
        threshold=threshold,
        skip=file.take("W_skip", (d_model, d_model)) if "W_skip" in file.tensors else None,
        decoder_name=f"{file.path}: W_dec",
        device=device,
        dtype=dtype,
    )
    return SavedLayer(number, found, {"read_at": read_at, "write_at": write_at}, (config_file, weights))


def _check(path: Path, config: Mapping[str, Any]) -> None:
    architecture = config.get("architecture")
    if architecture not in ARCHITECTURES:
        raise FormatError(
            f"{path} says architecture: {architecture}, which cannot replace an MLP",
            next_step=f"use one of: {', '.join(ARCHITECTURES)}",
        )
    for key, wanted in (("normalize_activations", "none"), ("apply_b_dec_to_input", False)):
        if config.get(key, wanted) != wanted:
            raise FormatError(
                f"{path} says {key}: {config[key]}, which is not supported",
                next_step="fold it into the weights with SAELens, and save them again",
            )
    if (activation := config.get("activation_fn", "relu")) != "relu":
        raise FormatError(
            f"{path} says activation_fn: {activation}", next_step="use transcoders with relu or thresholds"
        )


def _hook(path: Path, said: Mapping[str, Any], key: str, known: Mapping[str, str]) -> tuple[int, str]:
    """The layer in a hook's name, and the name of the place."""
    found = re.fullmatch(r"blocks\.(\d+)\.(.+)", str(said.get(key)))
    if found is None or found[2] not in known:
        places = ", ".join(f"blocks.N.{name}" for name in known)
        raise FormatError(f"{path} says {key}: {said.get(key)}", next_step=f"use one of: {places}")
    return int(found[1]), known[found[2]]
