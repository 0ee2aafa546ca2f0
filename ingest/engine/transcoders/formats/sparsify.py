"""Reader of one layer of the transcoders that sparsify trains.

    layers.{i}.mlp/cfg.json           k, transcode, activation, skip_connection, …
    layers.{i}.mlp/sae.safetensors    encoder.weight (n_features, d_model), encoder.bias, W_dec (n_features,
                                      d_model), b_dec, and with a skip connection W_skip (written, read)

The activation function is TopK of the positive numbers. Features read at the MLP's input and write at its
output.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ingest.engine.errors import FormatError
from ingest.engine.transcoders.formats.tensors import File, place, read_json
from ingest.engine.transcoders.transcoder import Transcoder

READ_AT, WRITE_AT = "mlp.hook_in", "mlp.hook_out"


def layer(file: File, *, device: torch.device | str, dtype: torch.dtype) -> Transcoder:
    """Read one layer and its cfg.json. Raises FormatError when either is missing, damaged or unsupported."""
    config_file = file.path.with_name("cfg.json")
    config = _config(config_file)
    encoder = file.take("encoder.weight", (None, None))
    n_features, d_model = encoder.shape
    k = config.get("k")
    if not isinstance(k, int) or not 1 <= k <= n_features:
        raise FormatError(
            f"{config_file} says k: {k}", next_step=f"give a whole number from 1 to {n_features}"
        )
    return place(
        encoder=encoder,
        encoder_bias=file.take("encoder.bias", (n_features,)),
        decoder=file.take("W_dec", (n_features, d_model), rows_later=True)[:, None],
        decoder_bias=file.take("b_dec", (d_model,)),
        k=k,
        skip=file.take("W_skip", (d_model, d_model)) if "W_skip" in file.tensors else None,
        decoder_name=f"{file.path}: W_dec",
        device=device,
        dtype=dtype,
    )


def _config(path: Path) -> Mapping[str, Any]:
    config = read_json(path)
    if not config.get("transcode", False):
        raise FormatError(
            f"{path} says transcode: false, so it is an autoencoder, which cannot replace an MLP",
            next_step="use transcoders, trained with --transcode",
        )
    if (activation := config.get("activation", "topk")) != "topk":
        raise FormatError(f"{path} says activation: {activation}", next_step="use a set with topk")
    return config
