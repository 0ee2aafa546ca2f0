"""Where a model lies: a folder, a GGUF file, or a place on the hub that is copied to a folder first."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import cached_assets_path

from ingest.engine.errors import ModelError
from ingest.engine.loading import gguf
from ingest.engine.transcoders.formats.hub import Hub, HubReference, is_reference

PATTERNS = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")
"""Name patterns of the files of a model and its tokenizer on the hub."""

SAFETENSORS = "*.safetensors"
PICKLED = "pytorch_model*.bin"
"""Older files of weights, which transformers reads where there are no safetensors. Nothing in them is run."""

HUB_CACHE = "models--"
"""Prefix of a model's folder in the hub's cache: models--org--name/snapshots/…"""

FOLDER = "give the folder that save_pretrained wrote, including the tokenizer, or a GGUF file"


@dataclass(frozen=True)
class ModelFiles:
    """The files of one model."""

    folder: Path
    """The folder that transformers reads: config.json, weights and tokenizer."""
    name: str
    """`org/name` on the hub, else the name of the folder, or of the GGUF file without its ending."""
    identity: tuple[Path, ...]
    """The files that tell this model from every other one: a GGUF file, or config.json and the weights."""


def find(
    given: Path | str, architectures: Collection[str], *, hub: Hub | None = None, cache: Path | None = None
) -> ModelFiles:
    """The files of the model at a folder, a GGUF file, or `hf://org/name[/file.gguf][@revision]`.

    architectures: those that the engine has an adapter for; a GGUF file of another one is not converted.
    cache: folder for converted GGUF files; None is the cache of huggingface_hub. Raises ModelError for a
    place without a model, and FormatError when the hub does not have it.
    """
    place = Path(given)
    if is_reference(given):
        reference = HubReference.parse(str(given))
        hub = hub or Hub()
        place = hub.fetch(reference, () if reference.path.endswith(gguf.ENDING) else PATTERNS)
        if place.is_dir() and not list(place.glob(SAFETENSORS)):
            place = hub.fetch(reference, (*PATTERNS, PICKLED))
    elif place.is_dir() and not (place / "config.json").exists():
        place = _only_gguf(place)
    if place.is_file():
        cache = cache or Path(cached_assets_path("circuit-atlas", "models"))
        return ModelFiles(gguf.converted(place, cache, architectures), place.stem, (place,))
    if not (place / "config.json").is_file():
        raise ModelError(f"{place} contains no model: it has no config.json", next_step=FOLDER)
    return in_folder(place)


def in_folder(folder: Path) -> ModelFiles:
    """The files of the model in a folder that has a config.json."""
    where, name = folder.resolve(), folder.resolve().name
    if where.parent.name == "snapshots" and where.parent.parent.name.startswith(HUB_CACHE):
        name = where.parent.parent.name.removeprefix(HUB_CACHE).replace("--", "/", 1)
    return ModelFiles(folder, name, (*weights(folder), folder / "config.json"))


def weights(folder: Path) -> list[Path]:
    """The files of weights in a model's folder that transformers reads."""
    return sorted(folder.glob(SAFETENSORS)) or sorted(folder.glob(PICKLED))


def _only_gguf(folder: Path) -> Path:
    """The GGUF file of a folder that has exactly one, else the folder itself."""
    found = sorted(folder.glob(f"*{gguf.ENDING}"))
    if len(found) > 1:
        raise ModelError(
            f"{folder} has no config.json and {len(found)} GGUF files: {', '.join(p.name for p in found)}",
            next_step=f"name one of the files, such as --model {found[0]}",
        )
    return found[0] if found else folder
