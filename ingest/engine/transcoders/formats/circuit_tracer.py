"""Reader of circuit-tracer's transcoders, per layer or cross-layer, from a folder.

    config.yaml               model_kind: transcoder_set or cross_layer_transcoder, feature_input_hook,
                              feature_output_hook, and optionally activation (relu, topk), k, and
                              transcoders (a list of files or hf:// references, layer by layer)

    per layer, transcoder_set
    layer_{i}.safetensors     W_enc, W_dec (n_features, d_model), b_enc (n_features,), b_dec (d_model,), and
                              optionally activation_function.threshold (n_features,), W_skip (written, read)

    cross-layer
    W_enc_{i}.safetensors     W_enc_{i} (n_features, d_model), b_enc_{i} (n_features,), b_dec_{i} (d_model,),
                              and optionally threshold_{i} (n_features,), W_skip_{i} (read, written)
    W_dec_{i}.safetensors     W_dec_{i} (n_features, n_layers - i, d_model)

The activation function is JumpReLU when there is a threshold, else ReLU, unless `activation` says otherwise.
The k numbers that TopK keeps may be negative. Numbers may have 16 bits: encoders are widened when read,
decoders when used.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml

from ingest.engine.errors import FormatError
from ingest.engine.transcoders.formats.tensors import File, check_fetched, open_file, place
from ingest.engine.transcoders.transcoder import Transcoder

BY_LAYER, CROSS_LAYER = "transcoder_set", "cross_layer_transcoder"

ACTIVATIONS = (None, "relu", "topk", "jump_relu", "jumprelu")


@dataclass(frozen=True)
class Config:
    """The contents of config.yaml. A field is None when config.yaml does not have it."""

    path: Path
    kind: str | None = None
    read_at: str | None = None
    write_at: str | None = None
    model_name: str | None = None
    name: str | None = None
    """The key `scan`."""
    activation: str | None = None
    k: int | None = None
    """k of TopK."""
    transcoders: tuple[str, ...] = ()
    """The file or hf:// reference of each layer. Empty means the files of this folder."""


def config(path: Path) -> Config:
    """Read config.yaml. Raises FormatError when it is missing, invalid, or has an unsupported value."""
    try:
        check_fetched(path)
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FormatError(
            f"{path.parent} has no config.yaml",
            next_step="write one with model_kind, feature_input_hook and feature_output_hook",
        ) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise FormatError(
            f"{path} cannot be read as YAML: {str(error).splitlines()[0]}", next_step="correct the file"
        ) from error
    kinds = f"`model_kind: {BY_LAYER}` or `model_kind: {CROSS_LAYER}`"
    if not isinstance(found, dict):
        raise FormatError(f"{path} holds no keys", next_step=f"write at least {kinds} into it")
    kind, activation, k = (found.get(key) for key in ("model_kind", "activation", "k"))
    if kind not in (None, BY_LAYER, CROSS_LAYER):
        raise FormatError(f"{path} says model_kind: {kind}, which cannot be read", next_step=f"use {kinds}")
    if activation not in ACTIVATIONS or (activation == "topk" and kind == CROSS_LAYER):
        raise FormatError(
            f"{path} says activation: {activation}, which a {kind or BY_LAYER} cannot have",
            next_step="use relu, topk (per layer only), or jump_relu with thresholds in the files",
        )
    if activation == "topk" and (type(k) is not int or k < 1):
        raise FormatError(
            f"{path} says activation: topk and k: {k}", next_step="give k, a whole number from 1 up"
        )
    listed = found.get("transcoders") or []
    if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
        raise FormatError(
            f"{path}: transcoders is not a list of files",
            next_step="list one file or hf:// reference per layer",
        )

    def text(key: str) -> str | None:
        return None if found.get(key) is None else str(found[key])

    return Config(
        path=path,
        kind=kind,
        read_at=text("feature_input_hook"),
        write_at=text("feature_output_hook"),
        model_name=text("model_name"),
        name=text("scan"),
        activation=activation,
        k=k if activation == "topk" else None,
        transcoders=tuple(listed),
    )


def single(file: File, said: Config, *, device: torch.device | str, dtype: torch.dtype) -> Transcoder:
    """Read one layer of a per-layer set. Raises FormatError as `File.take` does, or when k is too large."""
    encoder = file.take("W_enc", (None, None))
    n_features, d_model = encoder.shape
    if said.k is not None and said.k > n_features:
        raise FormatError(
            f"{said.path} says k: {said.k}, but {file.path} has {n_features} features",
            next_step="give the k that the set was trained with",
        )
    threshold = None
    if said.activation not in ("relu", "topk") and "activation_function.threshold" in file.tensors:
        threshold = file.take("activation_function.threshold", (n_features,), infinite=True)
    return place(
        encoder=encoder,
        encoder_bias=file.take("b_enc", (n_features,)),
        decoder=file.take("W_dec", (n_features, d_model), rows_later=True)[:, None],
        decoder_bias=file.take("b_dec", (d_model,)),
        threshold=threshold,
        k=said.k,
        signed=said.k is not None,
        skip=file.take("W_skip", (d_model, d_model)) if "W_skip" in file.tensors else None,
        decoder_name=f"{file.path}: W_dec",
        device=device,
        dtype=dtype,
    )


def cross_layer(
    encoder_file: Path,
    decoder_file: Path,
    number: int,
    n_layers: int,
    *,
    device: torch.device | str,
    dtype: torch.dtype,
) -> Transcoder:
    """Read one layer of a cross-layer set. Raises FormatError as `open_file` and `File.take` do."""
    reading, writing = open_file(encoder_file), open_file(decoder_file)
    encoder = reading.take(f"W_enc_{number}", (None, None))
    n_features, d_model = encoder.shape

    def optional(name: str, size: tuple[int, ...], infinite: bool = False) -> torch.Tensor | None:
        return reading.take(name, size, infinite=infinite) if name in reading.tensors else None

    skip = optional(f"W_skip_{number}", (d_model, d_model))
    return place(
        encoder=encoder,
        encoder_bias=reading.take(f"b_enc_{number}", (n_features,)),
        decoder=writing.take(f"W_dec_{number}", (n_features, n_layers - number, d_model), rows_later=True),
        decoder_bias=reading.take(f"b_dec_{number}", (d_model,)),
        threshold=optional(f"threshold_{number}", (n_features,), infinite=True),
        skip=None if skip is None else skip.T,
        decoder_name=f"{decoder_file}: W_dec_{number}",
        device=device,
        dtype=dtype,
    )


def hooks(said: Config) -> Mapping[str, str]:
    """The hooks at which features read and write; circuit-tracer's defaults when config.yaml has none."""
    return {"read_at": said.read_at or "hook_resid_mid", "write_at": said.write_at or "hook_mlp_out"}
