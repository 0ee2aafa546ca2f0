"""Models in GGUF files: the numbers of their source, a cache of whole folders only, and errors."""

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType
from safetensors.torch import load_file
from transformers import LlamaForCausalLM

from ingest.engine.attribution.attribute import attribute
from ingest.engine.errors import ModelError
from ingest.engine.loading import files, gguf
from ingest.engine.replacement.model import ARCHITECTURES, ReplacementModel
from tests.support import gguf_files
from tests.support.engine import Folders, Tiny, random_llama, save_clt
from tests.support.gguf_files import PROMPT, byte_level_tokenizer, dequantised

VOCABULARY = 280
TINY = Tiny(n_heads=4, n_groups=2, d_model=32, d_head=8)


def llama(tied: bool = False) -> LlamaForCausalLM:
    return random_llama(Tiny(n_heads=4, n_groups=2, d_model=32, d_head=8, tied=tied), VOCABULARY)


@pytest.fixture
def source(tmp_path: Path) -> Folders:
    """The model as transformers saves it, with transcoders."""
    folders = Folders(tmp_path / "lm", tmp_path / "clt")
    llama().save_pretrained(folders.model)
    byte_level_tokenizer(VOCABULARY).save_pretrained(folders.model)
    folders.transcoders.mkdir()
    save_clt(TINY, folders.transcoders)
    return folders


def write(path: Path, **changes: Any) -> Path:
    gguf_files.write(llama(), byte_level_tokenizer(VOCABULARY), path, **changes)
    return path


def find(path: Path, cache: Path) -> files.ModelFiles:
    return files.find(path, ARCHITECTURES, cache=cache)


def test_a_gguf_file_gives_the_graph_of_its_source(source: Folders, tmp_path: Path) -> None:
    path = write(tmp_path / "tiny.Q.gguf")
    plain = ReplacementModel.load(*source)
    found = ReplacementModel.load(path, source.transcoders, cache=tmp_path / "cache")
    assert found.encode(PROMPT) == plain.encode(PROMPT)
    assert len(found.encode(PROMPT).ids) < len(PROMPT)
    weights = plain.model.state_dict()
    assert found.model.state_dict().keys() == weights.keys()
    for name, weight in found.model.state_dict().items():
        assert torch.equal(weight, weights[name]), name
    assert torch.equal(attribute(found, PROMPT).adjacency, attribute(plain, PROMPT).adjacency)
    assert found.files == files.ModelFiles(found.files.folder, "tiny.Q", (path,))  # type: ignore[union-attr]


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", [GGMLQuantizationType.Q8_0, GGMLQuantizationType.Q4_1])
def test_quantised_weights_are_dequantised_exactly(
    kind: GGMLQuantizationType, tied: bool, tmp_path: Path
) -> None:
    model, path = llama(tied), tmp_path / "tiny.gguf"
    gguf_files.write(model, byte_level_tokenizer(VOCABULARY), path, weights=kind)
    folder = find(path, tmp_path / "cache").folder
    weights = LlamaForCausalLM.from_pretrained(folder).state_dict()
    for name, weight in model.state_dict().items():
        # Rows are quantised one by one, so their order does not matter.
        expected = dequantised(weight, kind) if weight.ndim == 2 else weight
        assert torch.equal(weights[name], expected), name
    assert ("lm_head.weight" in load_file(folder / "model.safetensors")) == (not tied)


def test_a_file_is_converted_once(tmp_path: Path) -> None:
    path, cache = write(tmp_path / "tiny.gguf"), tmp_path / "cache"
    folder = find(path, cache).folder
    made = (folder / "model.safetensors").stat().st_mtime_ns
    path.rename(tmp_path / "moved.gguf")
    assert find(tmp_path / "moved.gguf", cache).folder == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == made
    write(path, extra={"llama.expert_count": 0})
    assert find(path, cache).folder != folder


def test_a_half_written_conversion_is_never_used(tmp_path: Path) -> None:
    path, cache = write(tmp_path / "tiny.gguf"), tmp_path / "cache"
    folder = find(path, cache).folder
    whole = {each.name: each.read_bytes() for each in folder.iterdir()}
    # A process that was killed while it wrote leaves its temporary folder.
    folder.rename(folder.with_suffix(".part"))
    (folder.with_suffix(".part") / "model.safetensors").write_bytes(b"half")
    assert find(path, cache).folder == folder
    assert {each.name: each.read_bytes() for each in folder.iterdir()} == whole
    assert [each.name for each in cache.iterdir() if each.is_dir()] == [folder.name]


def test_a_conversion_of_another_version_is_made_again(tmp_path: Path) -> None:
    path, cache = write(tmp_path / "tiny.gguf"), tmp_path / "cache"
    folder = find(path, cache).folder
    (folder / "conversion.json").write_text('{"transformers": "4.0"}')
    (folder / "model.safetensors").write_bytes(b"old")
    assert load_file(find(path, cache).folder / "model.safetensors")


def test_two_processes_may_convert_the_same_file(tmp_path: Path) -> None:
    path, cache, found = write(tmp_path / "tiny.gguf"), tmp_path / "cache", []
    threads = [threading.Thread(target=lambda: found.append(find(path, cache).folder)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert load_file(found[0] / "model.safetensors")


def test_a_folder_with_one_gguf_file_names_it(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    path = write(tmp_path / "models" / "tiny.gguf")
    assert find(tmp_path / "models", tmp_path / "cache").identity == (path,)
    (tmp_path / "models" / "other.gguf").touch()
    with pytest.raises(
        ModelError, match=r"models has no config.json and 2 GGUF files: other.gguf, tiny.gguf"
    ):
        find(tmp_path / "models", tmp_path / "cache")


def refused(path: Path, cache: Path) -> str:
    with pytest.raises(ModelError) as caught:
        find(path, cache)
    assert not cache.exists() or not [each for each in cache.iterdir() if each.is_dir()]
    assert caught.value.next_step
    return str(caught.value)


def test_a_file_that_is_no_gguf_says_so(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"PK\3\4 and more")
    assert "model.bin is no GGUF file" in refused(tmp_path / "model.bin", tmp_path / "cache")


@pytest.mark.parametrize("share", [0.0001, 0.01, 0.3, 0.999])
def test_a_truncated_file_says_so(share: float, tmp_path: Path) -> None:
    path = write(tmp_path / "tiny.gguf")
    os.truncate(path, max(4, int(path.stat().st_size * share)))
    message = refused(path, tmp_path / "cache")
    assert "tiny.gguf is damaged or incomplete: " in message
    assert "compare the size or the hash" in message


@pytest.mark.parametrize(("architecture", "shown"), [("bert", "bert"), ("falcon", "FalconForCausalLM")])
def test_an_architecture_without_an_adapter_says_which_there_are(
    architecture: str, shown: str, tmp_path: Path
) -> None:
    message = refused(write(tmp_path / "tiny.gguf", architecture=architecture), tmp_path / "cache")
    assert f"tiny.gguf has the architecture {shown}" in message
    assert "GPT2LMHeadModel" in message


def test_a_part_of_a_model_says_how_to_join_it(tmp_path: Path) -> None:
    message = refused(write(tmp_path / "tiny.gguf", extra={"split.count": 3}), tmp_path / "cache")
    assert "tiny.gguf is one of 3 parts of a model" in message
    assert "llama-gguf-split --merge" in message


def test_factors_that_transformers_does_not_read_are_refused(tmp_path: Path) -> None:
    extra = {"rope_freqs.weight": np.ones(4, dtype=np.float32)}
    assert "scales rotary frequencies with rope_freqs.weight" in refused(
        write(tmp_path / "tiny.gguf", extra=extra), tmp_path / "cache"
    )


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    model = llama()
    state = model.state_dict()
    del state["model.layers.1.mlp.up_proj.weight"]
    model.state_dict = lambda: state  # type: ignore[method-assign, assignment]
    gguf_files.write(model, byte_level_tokenizer(VOCABULARY), tmp_path / "tiny.gguf")
    message = refused(tmp_path / "tiny.gguf", tmp_path / "cache")
    assert "lacks 1 of the model's tensors; the first is model.layers.1.mlp.up_proj.weight" in message


def test_a_disk_that_is_too_small_says_so(tmp_path: Path) -> None:
    gguf.check_space(tmp_path / "tiny.gguf", 1000, tmp_path)
    with pytest.raises(ModelError, match=r"tiny.gguf needs 4000000.0 GB when it is dequantised, and .* has"):
        gguf.check_space(tmp_path / "tiny.gguf", 10**15, tmp_path)


def test_a_cache_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "tiny.gguf")
    (tmp_path / "cache").touch()
    with pytest.raises(ModelError, match=r"tiny.gguf cannot be dequantised into .*cache"):
        find(path, tmp_path / "cache")
