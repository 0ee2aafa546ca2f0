"""Models in GGUF files (llama.cpp), dequantised once into a folder that transformers reads.

1. look      The cache may have the file's conversion. It is keyed by the contents of the file, and one that
             another version of transformers made is made again.
2. read      Read the header, and refuse a file that is damaged, truncated or split, or whose architecture has
             no adapter, before anything is converted. Compare the free space with the size of the result.
3. convert   transformers and the package `gguf` read the weights, as float32, and the tokenizer.
4. keep      The folder gets its name only when it is complete. A half-written one is never used.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import errno
import json
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import transformers
from filelock import FileLock
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from ingest.engine.errors import ModelError
from ingest.engine.loading.checks import check_fetched
from ingest.engine.loading.hashes import content_hash

ENDING = ".gguf"
MAGIC = b"GGUF"
NEEDED = ("gguf", "accelerate")
"""Packages that transformers needs to read a GGUF file."""
MADE_BY = "conversion.json"
"""The file in a converted folder that says what made it."""
FLOAT32 = 4
"""Bytes of a dequantised number."""
DAMAGED = (ValueError, KeyError, IndexError, TypeError, AttributeError, RuntimeError, OverflowError)
"""What the readers raise for damaged files, whose headers give them sizes, types, names and text."""
UNREAD = "rope_freqs.weight"
"""Factors of rotary frequencies, which Llama 3 has. transformers does not read them from GGUF files."""


def converted(path: Path, cache: Path, architectures: Collection[str]) -> Path:
    """The folder with the dequantised model and the tokenizer of a GGUF file, in the cache.

    architectures: names of the model classes that may be converted. Raises ModelError for a file that is not
    GGUF, is damaged, or has another architecture, for a missing package, and for a disk that is too small.
    """
    check_fetched(path)
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise ModelError(f"{path} is no GGUF file", next_step="give a GGUF file or a model's folder")
    key = content_hash(path)
    place, part = cache / key, cache / f"{key}.part"
    if _is_current(place):
        return place
    for package in NEEDED:
        if find_spec(package) is None:
            raise ModelError(
                f"{path.name} is a GGUF file, and the package {package} that reads it is not installed",
                next_step="pip install 'circuit-atlas[gguf]'",
            )
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"{key}.lock"):
            if _is_current(place):
                return place
            shutil.rmtree(part, ignore_errors=True)
            try:
                _convert(path, part, architectures)
                shutil.rmtree(place, ignore_errors=True)
                part.replace(place)
            finally:
                shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise ModelError(
            f"{path.name} cannot be dequantised into {cache}: {error.strerror or error}",
            next_step="free some space on this disk" if full else "check the permissions of this folder",
        ) from error
    return place


def _is_current(place: Path) -> bool:
    """Whether a complete conversion is there that this version of transformers made."""
    try:
        made_by = json.loads((place / MADE_BY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(made_by == _made_by())


def _made_by() -> dict[str, str]:
    return {"transformers": transformers.__version__}


def _convert(path: Path, part: Path, architectures: Collection[str]) -> None:
    """Write the model and the tokenizer of a GGUF file into a new folder."""
    header = _Header.read(path)
    try:
        config: Any = AutoConfig.from_pretrained(
            path.parent, gguf_file=path.name, local_files_only=True, trust_remote_code=False
        )
        architecture = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(config.model_type, config.model_type)
    except DAMAGED as error:
        # The header itself is sound.
        raise _unsupported(path, f"{header.architecture} ({_first_line(error)})", architectures) from error
    if architecture not in architectures:
        raise _unsupported(path, architecture, architectures)
    check_space(path, header.n_numbers, part.parent)
    with _readable(path):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            path.parent,
            gguf_file=path.name,
            config=config,
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
        tokenizer: Any = AutoTokenizer.from_pretrained(
            path.parent, gguf_file=path.name, local_files_only=True, trust_remote_code=False
        )
    model, info = loaded
    if missing := sorted(info["missing_keys"]):
        raise ModelError(
            f"{path.name} lacks {len(missing)} of the model's tensors; the first is {missing[0]}",
            next_step="convert or download the model again",
        )
    part.mkdir()
    # transformers refuses to save a model that it read from a GGUF file. Tied weights are written once.
    tensors, seen = {}, set()
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in seen:
            seen.add(tensor.data_ptr())
            tensors[name] = tensor.contiguous()
    save_file(tensors, part / "model.safetensors", metadata={"format": "pt"})
    config.architectures, config.dtype = [architecture], "float32"
    config.save_pretrained(part)
    tokenizer.save_pretrained(part)
    (part / MADE_BY).write_text(json.dumps(_made_by()), encoding="utf-8")


def check_space(path: Path, n_numbers: int, folder: Path) -> None:
    """Raise ModelError when the disk of a folder has no room for the numbers of a file as float32."""
    need, free = n_numbers * FLOAT32, shutil.disk_usage(folder).free
    if need > free:
        raise ModelError(
            f"{path.name} needs {need / 1e9:.1f} GB when it is dequantised, and {folder} has "
            f"{free / 1e9:.1f} GB of free space",
            next_step="free some space on this disk",
        )


@dataclass(frozen=True)
class _Header:
    """What the header of a GGUF file says."""

    architecture: str
    """llama.cpp's name of the architecture."""
    n_numbers: int
    """Numbers in all tensors."""

    @classmethod
    def read(cls, path: Path) -> "_Header":
        """Read and check the header. Raises ModelError."""
        from gguf import GGUFReader

        with _readable(path):
            reader = GGUFReader(path)
            if (split := reader.get_field("split.count")) is not None and int(split.contents()) > 1:
                raise ModelError(
                    f"{path.name} is one of {split.contents()} parts of a model",
                    next_step="join the parts with `llama-gguf-split --merge`",
                )
            if any(tensor.name == UNREAD for tensor in reader.tensors):
                raise ModelError(
                    f"{path.name} scales rotary frequencies with {UNREAD}, which transformers does not read; "
                    "the model would compute other numbers",
                    next_step="use the same model as safetensors",
                )
            architecture = str(reader.fields["general.architecture"].contents())
            return cls(architecture, sum(int(tensor.n_elements) for tensor in reader.tensors))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Translate what the readers of GGUF files raise for damaged ones."""
    try:
        yield
    except DAMAGED as error:
        raise ModelError(
            f"{path.name} is damaged or incomplete: {_first_line(error)}",
            next_step="compare the size or the hash of the file with those of its source",
        ) from error


def _unsupported(path: Path, architecture: str, architectures: Collection[str]) -> ModelError:
    return ModelError(
        f"{path.name} has the architecture {architecture}, which has no adapter",
        next_step=f"use one of: {', '.join(architectures)}",
    )


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else repr(error)
