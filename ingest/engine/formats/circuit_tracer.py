"""Read circuit-tracer's cross-layer transcoders from a folder.

    config.yaml               model_kind: cross_layer_transcoder, feature_input_hook, feature_output_hook, …
    W_enc_{i}.safetensors     W_enc_{i} (n_features, d_model), b_enc_{i} (n_features,), b_dec_{i} (d_model,),
                              and for JumpReLU threshold_{i} (n_features,)
    W_dec_{i}.safetensors     W_dec_{i} (n_features, n_layers - i, d_model)

One pair of files for each layer i. Numbers may be 16-bit; encoders are widened on reading, decoders when
used.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
import yaml
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ingest.engine.errors import FormatError, shape
from ingest.engine.transcoder import Transcoder, TranscoderSet

KIND = "cross_layer_transcoder"

FILE = re.compile(r"W_(?:enc|dec)_(\d+)\.safetensors")
"""The name of a layer's file; the highest number tells how many layers there are."""


def read(
    folder: Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> TranscoderSet:
    """Read a cross-layer transcoder set.

    Raises FormatError when the folder, a file or a tensor is missing, when a file is damaged, or when tensors
    of one layer disagree.
    """
    config = _config(folder)
    numbers = [found[1] for path in folder.iterdir() if (found := FILE.fullmatch(path.name))]
    n_layers = 1 + max(map(int, numbers), default=-1)
    if n_layers == 0:
        raise FormatError(
            f"{folder} has no W_enc_0.safetensors",
            next_step="name the folder that holds W_enc_*.safetensors and W_dec_*.safetensors",
        )
    layers, files = [], [folder / "config.yaml"]
    for number in range(n_layers):
        encoder_file, decoder_file = (folder / f"W_{part}_{number}.safetensors" for part in ("enc", "dec"))
        tensors = _tensors(encoder_file) | _tensors(decoder_file)
        layers.append(_layer(tensors, number, n_layers, encoder_file, decoder_file, device, dtype))
        files += [encoder_file, decoder_file]
    if len({layer.threshold is None for layer in layers}) > 1:
        raise FormatError(
            f"{folder} has threshold_i for some layers and not for others",
            next_step="save all layers with the same activation function",
        )
    return TranscoderSet(
        layers=tuple(layers),
        name=str(config.get("scan") or folder.resolve().name),
        read_at=str(config.get("feature_input_hook", "hook_resid_mid")),
        write_at=str(config.get("feature_output_hook", "hook_mlp_out")),
        model_name=str(config["model_name"]) if config.get("model_name") else None,
        files=tuple(files),
    )


def _config(folder: Path) -> Mapping[str, object]:
    path = folder / "config.yaml"
    if not folder.is_dir():
        raise FormatError(f"There is no transcoder folder {folder}", next_step="check the path")
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FormatError(
            f"{folder} has no config.yaml",
            next_step=f"write one with `model_kind: {KIND}`, feature_input_hook and feature_output_hook",
        ) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise FormatError(
            f"{path} cannot be read as YAML: {str(error).splitlines()[0]}", next_step="mend the file"
        ) from error
    if not isinstance(config, dict):
        raise FormatError(f"{path} holds no keys", next_step=f"write at least `model_kind: {KIND}` into it")
    kind = config.get("model_kind", KIND)
    if kind != KIND:
        raise FormatError(
            f"{path} says model_kind: {kind}, which cannot be read yet", next_step=f"use a set of kind {KIND}"
        )
    activation = config.get("activation")
    if activation not in (None, "relu", "jump_relu", "jumprelu"):
        raise FormatError(
            f"{path} says activation: {activation}, which cross-layer transcoders do not have",
            next_step="use relu, or jump_relu with a threshold_i in each W_enc_i.safetensors",
        )
    return config


def _tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of one file, mapped and not yet read where the platform allows it."""
    if not path.is_file():
        raise FormatError(
            f"{path.parent} has no {path.name}", next_step="copy the missing file, or download the set again"
        )
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise FormatError(
            f"{path} is damaged: {error}", next_step="copy or download the file again"
        ) from error


def _layer(
    tensors: Mapping[str, Tensor],
    number: int,
    n_layers: int,
    encoder_file: Path,
    decoder_file: Path,
    device: torch.device | str,
    dtype: torch.dtype,
) -> Transcoder:
    if f"W_skip_{number}" in tensors:
        raise FormatError(
            f"{encoder_file.name} holds W_skip_{number}; skip connections cannot be read yet",
            next_step="use a set without skip connections",
        )

    def take(name: str, file: Path, expected: tuple[int | None, ...]) -> Tensor:
        tensor = tensors.get(f"{name}_{number}")
        if tensor is None:
            raise FormatError(f"{file} has no tensor {name}_{number}", next_step="save the set again with it")
        if len(tensor.shape) != len(expected) or any(
            want is not None and size != want for size, want in zip(tensor.shape, expected, strict=True)
        ):
            wanted = " × ".join("any" if want is None else str(want) for want in expected)
            raise FormatError(
                f"{file}: {name}_{number} is {shape(tensor.shape)} where {wanted} is expected",
                next_step="save the set again, all layers in one shape",
            )
        return tensor

    encoder = take("W_enc", encoder_file, (None, None))
    n_features, d_model = encoder.shape
    decoder = take("W_dec", decoder_file, (n_features, n_layers - number, d_model))
    threshold = None
    if f"threshold_{number}" in tensors:
        threshold = take("threshold", encoder_file, (n_features,))
    return Transcoder(
        encoder=encoder.to(device, dtype),
        encoder_bias=take("b_enc", encoder_file, (n_features,)).to(device, dtype),
        decoder=decoder.to(device),
        decoder_bias=take("b_dec", encoder_file, (d_model,)).to(device, dtype),
        threshold=None if threshold is None else threshold.to(device, dtype),
    )
