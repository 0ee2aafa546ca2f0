"""What is wrong with a model's folder, found before transformers reads it.

Code that a folder brings along (`auto_map`) is not looked for here. It is never run, because every reader is
called with trust_remote_code=False.
"""

import json
import re
from collections.abc import Collection, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils.quantization_config import Mxfp4Config

from ingest.engine.errors import ModelError, shape
from ingest.engine.plain_files import not_plain
from ingest.engine.transcoders.formats.hub import FETCH, is_pointer

SENTENCEPIECE = "tokenizer.model"
"""A tokenizer that transformers reads with the package sentencepiece."""

MARGIN = 2
"""Bytes of the smallest number that an unquantised weight has."""

MXFP4 = "mxfp4"
"""The quantisation of gpt-oss, which transformers dequantises on any device while it loads."""
FP8 = "fp8"

LAYER = re.compile(r"(?:model\.layers|transformer\.h|h|gpt_neox\.layers)\.(\d+)\.")
"""How the name of a weight begins that belongs to a layer."""


def check_folder(folder: Path, weights: Sequence[Path]) -> None:
    """Raise ModelError for what transformers would not say, would say badly, or would find out too late.

    That is: files that were not fetched, weights of a quantisation that is not read, a config that is larger
    than its weights, and a tokenizer whose package is not installed. weights: the files of weights in the
    folder.
    """
    strange = not_plain(folder.iterdir())
    if strange is not None:
        raise ModelError(f"{strange} is no plain file", next_step="remove it, or download the model again")
    for path in (*weights, *folder.glob("tokenizer*"), folder / "config.json"):
        check_fetched(path)
    config = _config(folder)
    if (
        (folder / SENTENCEPIECE).exists()
        and not (folder / "tokenizer.json").exists()
        and find_spec("sentencepiece") is None
    ):
        raise ModelError(
            f"{folder / SENTENCEPIECE} needs the package sentencepiece, which is not installed",
            next_step="pip install sentencepiece, or save the tokenizer as tokenizer.json",
        )
    _check_quantisation(folder, config)
    _check_size(folder, config, sum(path.stat().st_size for path in weights))


def check_fetched(path: Path) -> None:
    """Raise ModelError for a git-lfs pointer in place of a file."""
    if is_pointer(path):
        raise ModelError(f"{path} is a git-lfs pointer and not the file itself", next_step=FETCH)


def dequantising(folder: Path) -> dict[str, Any]:
    """The arguments with which `from_pretrained` dequantises the weights of a folder; none for ordinary ones.

    Raises ModelError for a config.json that cannot be read.
    """
    if _quantised(_config(folder)) != MXFP4:
        return {}
    return {"quantization_config": Mxfp4Config(dequantize=True)}


def mismatch(folder: Path, weights: Sequence[Path]) -> str | None:
    """The first tensor whose size differs between config.json and the weights; None when none is found."""
    config: Any = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    for path in weights:
        if path.suffix != ".safetensors":
            continue
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118
                size = tuple(file.get_slice(name).get_shape())
                if size != wanted.get(name, size):
                    return f"{name} is {shape(size)}, where config.json describes {shape(wanted[name])}"
    return None


def undescribed(names: Collection[str], n_layers: int) -> list[str]:
    """The weights of layers that the config leaves out, among the names that a model has no place for."""
    layers = ((name, LAYER.match(name)) for name in names)
    return sorted(name for name, found in layers if found is not None and int(found[1]) >= n_layers)


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(
            f"{path} is not JSON: {error}", next_step="save or download the model again"
        ) from error
    if not isinstance(config, dict):
        raise ModelError(f"{path} has no settings", next_step="save or download the model again")
    return config


def _quantised(config: dict[str, Any]) -> str | None:
    """The method by which weights are quantised; None when they are not."""
    found = config.get("quantization_config")
    if not found:
        return None
    return str(found.get("quant_method", "an unknown method") if isinstance(found, dict) else found)


def _check_quantisation(folder: Path, config: dict[str, Any]) -> None:
    method = _quantised(config)
    if method in (None, MXFP4):
        return
    if method == FP8:
        remedy = (
            "dequantise it once: AutoModelForCausalLM.from_pretrained(MODEL, quantization_config="
            "FineGrainedFP8Config(dequantize=True)).save_pretrained(FOLDER), and save the tokenizer there too"
        )
    elif method in ("bitsandbytes", "bnb"):
        remedy = "use the model that it was made from; bitsandbytes quantises while it loads"
    else:
        remedy = "use the model that it was made from, or a GGUF file of it"
    raise ModelError(
        f"The weights in {folder} are quantised with {method}, which cannot be read", next_step=remedy
    )


def _check_size(folder: Path, config: dict[str, Any], size: int) -> None:
    """Compare the fewest numbers that a model of this config has with the bytes of its weights."""
    sizes = [
        config.get("hidden_size", config.get("n_embd")),
        config.get("num_hidden_layers", config.get("n_layer")),
        config.get("vocab_size"),
    ]
    known = [number for number in sizes if isinstance(number, int)]
    if any(number < 1 for number in known):
        raise ModelError(
            f"{folder / 'config.json'} describes a model of width {sizes[0]} with {sizes[1]} layers and "
            f"{sizes[2]} tokens",
            next_step="save or download the model again",
        )
    if not size or len(known) < len(sizes):
        return
    width, layers, words = known
    # The embedding, and one square matrix in each layer.
    least = width * (words + layers * width)
    if least * MARGIN > size:
        raise ModelError(
            f"{folder / 'config.json'} describes {layers} layers of width {width} and {words} tokens, at "
            f"least {least} numbers, and the weights have {size} bytes",
            next_step="check that config.json and the weights belong together",
        )
