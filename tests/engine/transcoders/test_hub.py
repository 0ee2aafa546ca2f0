"""References to the Hugging Face hub are read from its cache, without a download."""

import shutil
from pathlib import Path

import pytest
import torch
import yaml

from ingest.engine.attribution.attribute import attribute
from ingest.engine.errors import FormatError
from ingest.engine.replacement.model import ReplacementModel
from ingest.engine.transcoders.formats import recognise
from ingest.engine.transcoders.formats.hub import Hub, HubReference
from tests.support.engine import PROMPT, Tiny, save
from tests.support.transcoder_files import gemma_scope_1, sparsify, write_config

# The hub's cache, as huggingface_hub lays it out.

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def cached(cache: Path, repository: str, revision: str = "main") -> Path:
    """An empty snapshot in the cache."""
    place = cache / f"models--{repository.replace('/', '--')}"
    snapshot = place / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (place / "refs").mkdir()
    (place / "refs" / revision).write_text(COMMIT)
    return snapshot


@pytest.mark.parametrize(
    ("reference", "revision", "inside"),
    [
        ("hf://org/set", "main", ""),
        ("hf://org/set@v2", "v2", ""),
        ("hf://org/set/small/best", "main", "small/best"),
        ("hf://org/set/small@v2", "v2", "small"),
        ("hf:/org/set", "main", ""),
    ],
)
def test_a_hub_reference_is_read_from_the_cache(
    reference: str, revision: str, inside: str, tmp_path: Path
) -> None:
    folder = cached(tmp_path / "cache", "org/set", revision) / inside
    folder.mkdir(parents=True, exist_ok=True)
    sparsify(folder, skip=False)
    found = recognise.read(reference, hub=Hub(offline=True, cache=tmp_path / "cache"))
    plain = recognise.read(folder)
    assert found.name == reference.removeprefix("hf:").lstrip("/")
    assert found.files == plain.files
    for one, other in zip(found.layers, plain.layers, strict=True):
        assert torch.equal(one.encoder, other.encoder)
        assert torch.equal(one.decoder, other.decoder)


def test_hub_references_in_a_config_are_read_from_the_cache(tmp_path: Path) -> None:
    cache, local = tmp_path / "cache", tmp_path / "local"
    local.mkdir()
    snapshot = cached(cache, "google/scope", "v1")
    gemma_scope_1(snapshot)
    files = sorted(path.relative_to(snapshot).as_posix() for path in snapshot.rglob("*.npz"))
    listed = [f"hf://google/scope/{file}?revision=v1" for file in files]
    write_config(local, model_kind="transcoder_set", transcoders=listed)
    found = recognise.read(local, hub=Hub(offline=True, cache=cache))
    assert found.files[1:] == tuple(snapshot / file for file in files)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("hf://org/other", "hf://org/other is not in the cache, and nothing may be downloaded"),
        ("hf://org/set@v9", "hf://org/set@v9 is not in the cache, and nothing may be downloaded"),
        ("hf://org", "'hf://org' is not a reference to the hub"),
        ("hf://org/set/../x", "'hf://org/set/../x' is not a reference to the hub"),
        ("hf://org/set", "set/snapshots/" + COMMIT + " holds no transcoders in a known format"),
    ],
)
def test_a_hub_reference_that_cannot_be_read_says_why(reference: str, message: str, tmp_path: Path) -> None:
    cached(tmp_path, "org/set")
    with pytest.raises(FormatError) as caught:
        recognise.read(reference, hub=Hub(offline=True, cache=tmp_path))
    assert message in caught.value.what
    assert caught.value.next_step


@pytest.mark.parametrize("model_name", [True, False])
def test_a_model_and_its_transcoders_come_from_the_cache(model_name: bool, tmp_path: Path) -> None:
    folders = save(Tiny(), tmp_path)
    config = folders.transcoders / "config.yaml"
    if not model_name:
        config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | {"model_name": None}))
    cache = tmp_path / "cache"
    shutil.copytree(folders.model, cached(cache, "org/lm"), dirs_exist_ok=True)
    shutil.copytree(folders.transcoders, cached(cache, "org/clt", "v1"), dirs_exist_ok=True)
    hub = Hub(offline=True, cache=cache)
    # As the command line gives it: a Path joins the slashes.
    found = ReplacementModel.load(Path("hf://org/lm"), Path("hf://org/clt@v1"), hub=hub)
    assert (found.name, found.transcoders.name) == ("tiny" if model_name else "org/lm", "org/clt@v1")
    plain = attribute(ReplacementModel.load(*folders), PROMPT)
    assert torch.equal(attribute(found, PROMPT).adjacency, plain.adjacency)
    with pytest.raises(FormatError, match="hf://org/none is not in the cache"):
        ReplacementModel.load("hf://org/none", "hf://org/clt@v1", hub=hub)


def test_references_are_parsed_as_written() -> None:
    assert HubReference.parse("hf://a/b/c/d.npz?revision=r") == HubReference("a/b", "c/d.npz", "r")
    assert str(HubReference.parse("hf://a/b/c@r")) == "hf://a/b/c@r"
