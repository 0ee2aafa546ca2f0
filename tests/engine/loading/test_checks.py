"""Folders of models that cannot be used: what each one is told, and that nothing in them is run."""

import ast
import io
import json
import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from ingest.circuits import convert
from ingest.engine.errors import FormatError, ModelError
from ingest.engine.loading.files import in_folder
from ingest.engine.replacement.model import ReplacementModel
from tests.support.engine import PROMPT, Folders, Tiny, save
from tests.support.paths import HOME

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 39288\n"


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return save(Tiny(), tmp_path)


def configure(path: Path, **keys: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))


def refused(folders: Folders) -> str:
    with pytest.raises(ModelError) as caught:
        ReplacementModel.load(*folders)
    assert caught.value.next_step
    return str(caught.value)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_git_lfs_pointer_is_named(name: str, folders: Folders) -> None:
    (folders.model / name).write_text(POINTER)
    message = refused(folders)
    assert f"{name} is a git-lfs pointer and not the file itself" in message
    assert "git lfs pull" in message


@pytest.mark.parametrize("name", ["config.yaml", "W_enc_0.safetensors", "W_dec_2.safetensors"])
def test_a_pointer_among_transcoders_is_named(name: str, folders: Folders) -> None:
    (folders.transcoders / name).write_text(POINTER)
    with pytest.raises(FormatError, match=rf"{name} is a git-lfs pointer(.|\n)*git lfs pull"):
        ReplacementModel.load(*folders)


def test_a_pointer_in_place_of_a_gguf_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_text(POINTER)
    with pytest.raises(ModelError, match=r"model\.gguf is a git-lfs pointer and not the file itself"):
        ReplacementModel.load(path, None)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "generation_config.json"])
def test_a_pipe_or_device_is_named_and_not_read(name: str, folders: Folders) -> None:
    (folders.model / name).unlink(missing_ok=True)
    os.mkfifo(folders.model / name)
    assert f"{name} is no plain file" in refused(folders)
    (folders.model / name).unlink()
    (folders.model / name).symlink_to("/dev/zero")
    assert f"{name} is no plain file" in refused(folders)


@pytest.mark.parametrize(
    ("method", "remedy"),
    [
        ("fp8", "FineGrainedFP8Config(dequantize=True)"),
        ("bitsandbytes", "use the model that it was made from; bitsandbytes quantises while it loads"),
        ("gptq", "use the model that it was made from, or a GGUF file of it"),
        ("awq", "use the model that it was made from, or a GGUF file of it"),
    ],
)
def test_a_quantised_model_says_the_way_out(method: str, remedy: str, folders: Folders) -> None:
    configure(folders.model / "config.json", quantization_config={"quant_method": method, "bits": 4})
    message = refused(folders)
    assert f"lm are quantised with {method}, which cannot be read" in message
    assert remedy in message


@pytest.mark.parametrize("changes", [{"num_hidden_layers": 100_000}, {"vocab_size": 10**9}])
def test_a_config_larger_than_its_weights_is_refused_before_it_is_built(
    changes: dict[str, int], folders: Folders
) -> None:
    configure(folders.model / "config.json", **changes)
    assert "and the weights have 39288 bytes" in refused(folders)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_text("{"), "config.json is not JSON"),
        (lambda path: path.write_text("[1]"), "config.json has no settings"),
        (lambda path: configure(path, num_hidden_layers="3"), "'num_hidden_layers' expected int, got str"),
        (lambda path: configure(path, num_hidden_layers=-1), "width 16 with -1 layers and 40 tokens"),
        (lambda path: configure(path, num_hidden_layers=2), "config.json leaves out; the first is model.lay"),
        (lambda path: configure(path, num_attention_heads=0), "lm cannot be loaded: "),
        (lambda path: configure(path, num_attention_heads=3), "(16) is not a multiple of the number of atte"),
        (
            lambda path: configure(path, intermediate_size=10**9),
            "mlp.down_proj.weight is 16 × 32, where config.json describes 16 × 1000000000",
        ),
        (
            lambda path: configure(path, head_dim=10**8),
            "self_attn.k_proj.weight is 16 × 16, where config.json describes 400000000 × 16",
        ),
    ],
)
def test_a_config_that_is_no_config_says_so(
    write: Callable[[Path], object], message: str, folders: Folders
) -> None:
    write(folders.model / "config.json")
    assert message in refused(folders)


def test_a_tokenizer_without_its_package_names_the_package(folders: Folders) -> None:
    assert find_spec("sentencepiece") is None, "this test needs an environment without it"
    (folders.model / "tokenizer.json").unlink()
    (folders.model / "tokenizer.model").write_bytes(b"any")
    message = refused(folders)
    assert "tokenizer.model needs the package sentencepiece, which is not installed" in message
    assert "pip install sentencepiece" in message


CODE = {
    "model": ("config.json", {"model_type": "mine", "auto_map": {"AutoConfig": "code.Config"}}),
    "tokenizer": (
        "tokenizer_config.json",
        {"tokenizer_class": "Mine", "auto_map": {"AutoTokenizer": ["code.Tokenizer", None]}},
    ),
}


@pytest.mark.parametrize("case", CODE.values(), ids=CODE.keys())
def test_code_that_a_model_brings_is_never_run(
    case: tuple[str, dict[str, Any]], folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, changes = case
    marker = folders.model / "ran"
    configure(folders.model / name, **changes)
    (folders.model / "code.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    # transformers asks whether it may run the code when nobody forbids it.
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 9))
    message = refused(folders)
    assert "lm brings code of its own (`auto_map`), which is never run" in message
    assert not marker.exists()


def test_every_call_that_could_run_such_code_forbids_it() -> None:
    """transformers runs it after a `y` on the terminal unless a call says no."""
    n_calls = 0
    for room in ("ingest", "atlas", "bench", "examples"):
        for path in sorted((HOME / room).rglob("*.py")):
            if "site-packages" in path.parts:  # of an environment that a comparison made
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                    continue
                owner = node.func.value
                if not isinstance(owner, ast.Name) or not owner.id.startswith("Auto"):
                    continue
                if node.func.attr in ("from_pretrained", "from_config"):
                    given = {each.arg: ast.unparse(each.value) for each in node.keywords}
                    assert given.get("trust_remote_code") == "False", f"{path}:{node.lineno}"
                    n_calls += 1
    assert n_calls >= 6


class Payload:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.marker}",)


def as_pickle(folders: Folders, change: float = 0.0) -> None:
    """Keep the weights in the older file, pytorch_model.bin."""
    model = ReplacementModel.load(*folders).model
    with torch.no_grad():
        model.lm_head.weight[7] += change
    (folders.model / "model.safetensors").unlink()
    torch.save(model.state_dict(), folders.model / "pytorch_model.bin")


def test_a_program_in_a_pickled_model_is_not_run(folders: Folders, tmp_path: Path) -> None:
    (folders.model / "model.safetensors").unlink()
    tensors = {"a": torch.zeros(10_000), "b": Payload(tmp_path / "ran")}
    torch.save(tensors, folders.model / "pytorch_model.bin")
    assert "lm cannot be loaded: " in refused(folders)
    assert not (tmp_path / "ran").exists()


def test_weights_in_a_pickled_file_count_for_the_identity(tmp_path: Path) -> None:
    found = []
    for number, change in enumerate((0.0, 1.0)):
        folders = save(Tiny(), tmp_path / str(number))
        as_pickle(folders, change)
        found.append(ReplacementModel.load(*folders))
    one, other = (convert.model_record(model) for model in found)
    assert one.name == other.name
    assert one.revision != other.revision
    assert [path.name for path in in_folder(folders.model).identity] == ["pytorch_model.bin", "config.json"]


def test_safetensors_are_the_weights_where_both_are(folders: Folders) -> None:
    (folders.model / "pytorch_model.bin").write_bytes(b"not read")
    assert [path.name for path in in_folder(folders.model).identity] == ["model.safetensors", "config.json"]
    ReplacementModel.load(*folders)


def test_a_number_that_overflows_names_its_layer(folders: Folders) -> None:
    model = ReplacementModel.load(*folders, dtype=torch.float16)
    with torch.no_grad():
        model.model.model.layers[1].mlp.down_proj.weight.fill_(6e4)
    with pytest.raises(ModelError) as caught:
        model.freeze(model.encode(PROMPT).ids)
    assert str(caught.value) == (
        "The model's logits are not finite in torch.float16; the first is in the MLP of layer 1\n"
        "  → use --dtype float32"
    )


def test_prompts_that_exceed_the_memory_together_run_in_smaller_batches(folders: Folders) -> None:
    model = ReplacementModel.load(*folders)
    prompts = [[0, 3, 4 + number] for number in range(5)]
    plain = [model.freeze(ids).logits for ids in prompts]
    sizes = []

    def full(module: Any, given: Any, kwargs: Any) -> None:
        sizes.append(len(kwargs["input_ids"]))
        if sizes[-1] > room:
            raise torch.OutOfMemoryError("CUDA out of memory")

    room = 2
    with model.model.base_model.register_forward_pre_hook(full, with_kwargs=True):
        found = model.freeze_many(prompts)
        assert sizes == [5, 2, 3, 1, 2]
        assert all(torch.allclose(a.logits, b, atol=1e-5) for a, b in zip(found, plain, strict=True))
        room = 0
        with pytest.raises(ModelError, match=r"One prompt \(tokens: 3\) exceeds the memory of cpu"):
            model.freeze_many(prompts)
