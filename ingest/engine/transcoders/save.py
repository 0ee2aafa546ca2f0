"""Writes transcoders in the layout that circuit-tracer reads; `formats.circuit_tracer` describes it."""

from pathlib import Path

import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor

from ingest.engine.transcoders.transcoder import TranscoderSet


def save(transcoders: TranscoderSet, folder: Path, *, dtype: torch.dtype = torch.float16) -> None:
    """Write a set: one file for each layer, or two for each layer of a cross-layer set, and config.yaml.

    dtype: number format of the files. Raises ValueError for a number that the format cannot hold.
    """
    folder.mkdir(parents=True, exist_ok=True)
    crosses = transcoders.kind == "clt"
    for number, layer in enumerate(transcoders.layers):
        suffix = f"_{number}" if crosses else ""
        tensors = {
            f"W_enc{suffix}": layer.encoder,
            f"b_enc{suffix}": layer.encoder_bias,
            f"b_dec{suffix}": layer.decoder_bias,
        }
        if layer.threshold is not None:
            tensors[f"threshold{suffix}" if crosses else "activation_function.threshold"] = layer.threshold
        if layer.skip is not None:
            tensors[f"W_skip{suffix}"] = layer.skip.T if crosses else layer.skip
        if crosses:
            _write(tensors, folder / f"W_enc_{number}.safetensors", dtype)
            _write({f"W_dec_{number}": layer.decoder}, folder / f"W_dec_{number}.safetensors", dtype)
        else:
            tensors["W_dec"] = layer.decoder[:, 0]
            _write(tensors, folder / f"layer_{number}.safetensors", dtype)
    config = {
        "model_name": transcoders.model_name,
        "model_kind": "cross_layer_transcoder" if crosses else "transcoder_set",
        "feature_input_hook": transcoders.read_at,
        "feature_output_hook": transcoders.write_at,
        "scan": transcoders.name,
    }
    said: dict[str, str | int] = {key: value for key, value in config.items() if value is not None}
    if transcoders.layers[0].k is not None:
        said |= {"activation": "topk", "k": transcoders.layers[0].k}
    (folder / "config.yaml").write_text(yaml.safe_dump(said, sort_keys=False), encoding="utf-8")


def _write(tensors: dict[str, Tensor], path: Path, dtype: torch.dtype) -> None:
    cast = {name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in tensors.items()}
    for name, tensor in cast.items():
        # A dead feature's threshold may be infinite.
        if "threshold" not in name and not tensor.isfinite().all():
            raise ValueError(f"{name} of {path.name} has a number that {dtype} cannot hold")
    save_file(cast, path)
