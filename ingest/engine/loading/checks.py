"""What is wrong with a model's folder, found before transformers reads it.

Code that a folder brings along (`auto_map`) is not looked for here. It is never run, because every reader is
called with trust_remote_code=False.
"""

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from transformers.utils.quantization_config import Mxfp4Config

from ingest.engine.errors import ModelError

POINTER = b"version https://git-lfs.github.com/spec/"
"""How a git-lfs pointer begins, which stands for a file that was not fetched."""

SENTENCEPIECE = "tokenizer.model"
"""A tokenizer that transformers reads with the package sentencepiece."""

MARGIN = 2
"""Bytes of the smallest number that an unquantised weight has."""

MXFP4 = "mxfp4"
"""The quantisation of gpt-oss, which transformers dequantises on any device while it loads."""
FP8 = "fp8"


def check_folder(folder: Path, weights: Sequence[Path]) -> None:
    """Raise ModelError for what transformers would not say, would say badly, or would find out too late.

    That is: files that were not fetched, weights of a quantisation that is not read, a config that is larger
    than its weights, and a tokenizer whose package is not installed. weights: the files of weights in the
    folder.
    """
    for path in (*weights, *folder.glob("tokenizer*"), folder / "config.json"):
        with path.open("rb") as file:
            if file.read(len(POINTER)) == POINTER:
                raise ModelError(
                    f"{path} is a git-lfs pointer and not the file itself",
                    next_step="fetch the files with `git lfs pull`, or download the model again",
                )
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


def dequantising(folder: Path) -> dict[str, Any]:
    """The arguments with which `from_pretrained` dequantises the weights of a folder; none for ordinary ones.

    Raises ModelError for a config.json that cannot be read.
    """
    if _quantised(_config(folder)) != MXFP4:
        return {}
    return {"quantization_config": Mxfp4Config(dequantize=True)}


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
    known = [number for number in sizes if isinstance(number, int) and number > 0]
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
