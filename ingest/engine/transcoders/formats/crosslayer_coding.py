"""Reader of cross-layer transcoders that crosslayer-coding trains.

    cfg.json            num_features, num_layers, d_model, activation_fn, decoder_tying,
                        normalization_method, …
    NAME.safetensors    encoder_module.encoders.{i}.weight (n_features, d_model), .bias_param (n_features,)
                        decoder_module.decoders.{i}->{j}.weight (d_model, n_features), .bias_param (d_model,)
                        theta_manager.log_threshold (n_layers, n_features), for JumpReLU
    norm_stats.json     for normalization_method mean_std: the mean and std of inputs and targets by layer

Files of older versions have no encoder_module. and decoder_module. in the names. Decoders may be tied:
`per_target` has decoders.{j}, shared by all sources; `per_source` has decoders.{i}, shared by all targets.
Every decoder has a bias, and their sum counts. The decoders of a layer are joined in memory, because the file
keeps them apart.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ingest.engine.errors import FormatError
from ingest.engine.transcoders.formats.tensors import File, open_file, place, read_json
from ingest.engine.transcoders.transcoder import Transcoder, TranscoderSet

MEAN_STD = ("mean_std", "auto", "estimated_mean_std")
"""Names of the normalisation by mean and standard deviation, the present one first."""
UNSUPPORTED = {
    "skip_connection": "a skip connection from every earlier layer",
    "enable_feature_offset": "an offset of features",
    "enable_feature_scale": "a scale of features",
}
"""Settings that the engine's transcoders cannot express."""


def is_config(folder: Path) -> bool:
    """Whether a folder has the cfg.json of this library."""
    path = folder / "cfg.json"
    return path.is_file() and {"num_layers", "num_features"} <= read_json(path).keys()


def read(folder: Path, *, device: torch.device | str, dtype: torch.dtype) -> TranscoderSet:
    """Read a set. Raises FormatError when a file is missing, damaged or not supported."""
    config_file = folder / "cfg.json"
    config = read_json(config_file)
    _check(config_file, config)
    weights = sorted(folder.glob("*.safetensors"))
    if len(weights) != 1:
        raise FormatError(
            f"{folder} has {len(weights)} .safetensors files beside cfg.json",
            next_step="keep the one file with all weights",
        )
    file = open_file(weights[0])
    files = [config_file, weights[0]]
    stats: Mapping[str, Any] = {}
    if config.get("normalization_method", "none") in MEAN_STD:
        files.append(folder / "norm_stats.json")
        stats = read_json(files[-1])
    n_layers = int(config["num_layers"])
    exact = torch.promote_types(dtype, torch.float32)
    scales = [_Scale.of(stats, files[-1], number, exact) for number in range(n_layers)]
    layers = [_layer(file, config, number, scales, device=device, dtype=dtype) for number in range(n_layers)]
    hook = str(config.get("tl_input_template") or "")
    read_at = next(
        (name for name in ("hook_resid_mid", "ln2.hook_normalized") if name in hook), "mlp.hook_in"
    )
    return TranscoderSet(tuple(layers), "", read_at, "mlp.hook_out", config.get("model_name"), tuple(files))


def _check(path: Path, config: Mapping[str, Any]) -> None:
    if (activation := config.get("activation_fn")) not in ("jumprelu", "relu"):
        raise FormatError(
            f"{path} says activation_fn: {activation}, which depends on the other tokens of a batch",
            next_step="convert it to jumprelu with convert_batchtopk_to_jumprelu.py of crosslayer-coding",
        )
    for key, what in UNSUPPORTED.items():
        if config.get(key):
            raise FormatError(f"{path} says {key}: true, {what}", next_step="use a set without it")
    if (tying := config.get("decoder_tying", "none")) not in ("none", "per_target", "per_source"):
        raise FormatError(
            f"{path} says decoder_tying: {tying}", next_step="use none, per_target or per_source"
        )
    if (method := config.get("normalization_method", "none")) not in ("none", *MEAN_STD):
        raise FormatError(f"{path} says normalization_method: {method}", next_step="use none or mean_std")


class _Scale(NamedTuple):
    """The normalisation of one layer: scaled = (raw − mean) / size."""

    input_mean: Tensor | float
    input_size: Tensor | float
    output_mean: Tensor | float
    output_size: Tensor | float

    @classmethod
    def of(cls, stats: Mapping[str, Any], path: Path, number: int, exact: torch.dtype) -> "_Scale":
        if not stats:
            return cls(0.0, 1.0, 0.0, 1.0)
        try:
            mine = stats[str(number)]
            return cls(
                *(
                    torch.tensor(mine[side][what], dtype=exact)
                    for side in ("inputs", "targets")
                    for what in ("mean", "std")
                )
            )
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(
                f"{path} lacks the mean and std of layer {number}", next_step="download it again"
            ) from error


def _layer(
    file: File,
    config: Mapping[str, Any],
    number: int,
    scales: list[_Scale],
    *,
    device: torch.device | str,
    dtype: torch.dtype,
) -> Transcoder:
    n_layers, n_features, d_model = (int(config[key]) for key in ("num_layers", "num_features", "d_model"))
    old = "encoders.0.weight" in file.tensors
    encoders, decoders = (
        ("encoders", "decoders") if old else ("encoder_module.encoders", "decoder_module.decoders")
    )
    tying = config.get("decoder_tying", "none")

    def decoder_of(source: int, target: int) -> str:
        key = {"none": f"{source}->{target}", "per_target": str(target), "per_source": str(source)}[tying]
        return f"{decoders}.{key}"

    scale, exact = scales[number], torch.promote_types(dtype, torch.float32)
    encoder = file.take(f"{encoders}.{number}.weight", (n_features, d_model)).to(exact) / scale.input_size
    bias = file.take(f"{encoders}.{number}.bias_param", (n_features,))
    sources = [number] if tying == "per_target" else range(number + 1)
    written = torch.stack(
        [file.take(f"{decoder_of(i, number)}.bias_param", (d_model,)) for i in sources]
    ).sum(0, dtype=exact)
    later = range(number, n_layers)
    name = "log_threshold" if old else "theta_manager.log_threshold"
    threshold = None
    if config["activation_fn"] == "jumprelu":
        threshold = file.take(name, (n_layers, n_features), infinite=True)[number].exp()
    return place(
        encoder=encoder,
        encoder_bias=bias - (encoder * scale.input_mean).sum(1),
        decoder=torch.stack(
            [
                file.take(f"{decoder_of(number, j)}.weight", (d_model, n_features), rows_later=True).T
                * scales[j].output_size
                for j in later
            ],
            1,
        ),
        decoder_bias=written * scale.output_size + scale.output_mean,
        threshold=threshold,
        decoder_name=f"{file.path}: the decoders of layer {number}",
        device=device,
        dtype=dtype,
    )
