"""Reader of one layer of Gemma Scope's transcoders.

    1   params.npz          W_enc (d_model, n_features), W_dec (n_features, d_model), b_enc, b_dec, threshold
    2   one .safetensors    w_enc (d_model, n_features), w_dec (n_features, d_model), b_enc, b_dec, threshold,
                            and with a skip connection affine_skip_connection (d_model read, d_model written)
    2, cross-layer          as 2, but with w_dec (n_features, n_layers, d_model), by the layer written to;
                            layers below the transcoder's own layer are not used

The activation function is always JumpReLU.
"""

import torch

from ingest.engine.transcoders.formats.tensors import File, place
from ingest.engine.transcoders.transcoder import Transcoder

READ_AT = {1: "ln2.hook_normalized", 2: "mlp.hook_in"}
"""Version → where features read: before the gain of the MLP's norm (1), or after it (2)."""

WRITE_AT = "hook_mlp_out"
"""Features write after the norm that follows Gemma's MLP."""


def layer(
    file: File, number: int, n_layers: int, *, device: torch.device | str, dtype: torch.dtype
) -> Transcoder:
    """Read layer `number` of `n_layers`. Raises FormatError as `File.take` does."""
    encoder_name, decoder_name = ("W_enc", "W_dec") if "W_enc" in file.tensors else ("w_enc", "w_dec")
    encoder = file.take(encoder_name, (None, None))
    d_model, n_features = encoder.shape
    crosses = decoder_name in file.tensors and file.tensors[decoder_name].ndim == 3
    if crosses:
        decoder = file.take(decoder_name, (n_features, n_layers, d_model), rows_later=True)[:, number:]
    else:
        decoder = file.take(decoder_name, (n_features, d_model), rows_later=True)[:, None]
    skip = None
    if "affine_skip_connection" in file.tensors:
        skip = file.take("affine_skip_connection", (d_model, d_model)).T
    return place(
        encoder=encoder.T,
        encoder_bias=file.take("b_enc", (n_features,)),
        decoder=decoder,
        decoder_bias=file.take("b_dec", (d_model,)),
        threshold=file.take("threshold", (n_features,), infinite=True),
        skip=skip,
        decoder_name=f"{file.path}: {decoder_name}",
        device=device,
        dtype=dtype,
    )
