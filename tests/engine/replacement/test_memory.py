"""A device whose memory holds small batches only: the same numbers in smaller batches, and a line says so."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from ingest.engine.errors import ModelError
from ingest.engine.intervention.ablate import Answer, Attention, Head, effects
from ingest.engine.intervention.edits import ablate
from ingest.engine.intervention.intervene import Case, intervene_many
from ingest.engine.replacement.memory import say_smaller
from ingest.engine.replacement.model import ReplacementModel
from ingest.training.activations import Activations
from ingest.training.measure import measure
from ingest.training.texts import contexts
from tests.support.cli import Cli
from tests.support.engine import PROMPT, Folders, Tiny, save


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return save(Tiny(context=32), tmp_path)


@pytest.fixture
def model(folders: Folders) -> ReplacementModel:
    say_smaller.cache_clear()
    return ReplacementModel.load(*folders)


@contextmanager
def room(model: ReplacementModel, most: int) -> Iterator[list[int]]:
    """Let the real model's forward pass run out of memory with more than `most` rows. Yields the sizes."""
    sizes: list[int] = []

    def full(module: Any, given: Any, kwargs: Any) -> None:
        rows = len(kwargs["input_ids"])
        sizes.append(rows)
        if rows > most:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with model.model.base_model.register_forward_pre_hook(full, with_kwargs=True):
        yield sizes


def test_components_are_ablated_in_smaller_batches(
    model: ReplacementModel, caplog: pytest.LogCaptureFixture
) -> None:
    answers = [Answer(model.encode(f"w3 w1 w{number}").ids, 3, 7) for number in range(5)]
    plain = effects(model, answers, [Head(1, 2), Attention(0)])
    with room(model, 2) as sizes, caplog.at_level(logging.WARNING):
        found = effects(model, answers, [Head(1, 2), Attention(0)])
    torch.testing.assert_close(found, plain, rtol=1e-4, atol=1e-5)
    assert sizes == [5, 2, 3, 1, 2] * 3
    assert [record.getMessage() for record in caplog.records] == [
        "The memory of cpu does not hold a batch of 5; it goes on with 3 at a time.",
        "The memory of cpu does not hold a batch of 3; it goes on with 2 at a time.",
    ]
    with room(model, 0), pytest.raises(ModelError, match=r"One prompt \(tokens: 4\) exceeds the memory"):
        effects(model, answers, [Attention(0)])


def test_interventions_run_in_smaller_batches(model: ReplacementModel) -> None:
    cases = [Case(f"w3 w1 w{number}", [ablate(0, 2, number)]) for number in range(5)]
    plain = [outcome.logits for outcome in intervene_many(model, cases)]
    with room(model, 2) as sizes:
        found = [outcome.logits for outcome in intervene_many(model, cases)]
    torch.testing.assert_close(found, plain)
    assert max(sizes) == 5
    with room(model, 0), pytest.raises(ModelError, match=r"One prompt \(tokens: 4\) exceeds the memory"):
        list(intervene_many(model, cases))


def test_activations_are_recorded_in_smaller_batches(model: ReplacementModel, tmp_path: Path) -> None:
    texts = contexts(model, [f"w3 w1 w4 w{number}" for number in range(5)], 10)
    every, n = range(model.n_layers), torch.arange(20)
    plain, small = (Activations(tmp_path / name, model, texts) for name in ("plain", "small"))
    plain.fill()
    with room(model, 2) as sizes:
        small.fill()
    # Halved until it fits, and not tried again at a size that failed.
    assert sizes == [5, 2, 2, 1]
    cpu = torch.device("cpu")
    assert torch.equal(small.take(every, n, cpu).y, plain.take(every, n, cpu).y)
    with room(model, 0), pytest.raises(ModelError, match=r"One prompt \(tokens: 5\) exceeds the memory"):
        Activations(tmp_path / "none", model, texts).fill()


def test_transcoders_are_measured_in_smaller_batches(model: ReplacementModel) -> None:
    texts = contexts(model, [f"w3 w1 w4 w{number}" for number in range(20)], 10)
    groups = {"all": range(model.n_layers)}
    plain = measure(model, texts, groups=groups)
    with room(model, 2):
        small = measure(model, texts, groups=groups)
    assert (small.tokens, small.agreement_tokens) == (plain.tokens, plain.agreement_tokens)
    assert [layer.dead for layer in small.layers] == [layer.dead for layer in plain.layers]
    assert small.fvu == pytest.approx(plain.fvu)
    assert small.agreement == pytest.approx(plain.agreement)
    with room(model, 0), pytest.raises(ModelError, match=r"One prompt \(tokens: 5\) exceeds the memory"):
        measure(model, texts, groups=groups)


def test_ablations_and_interventions_name_the_layer_of_a_number_that_overflows(folders: Folders) -> None:
    model = ReplacementModel.load(*folders, dtype=torch.float16)
    with torch.no_grad():
        model.model.model.layers[1].mlp.down_proj.weight.fill_(6e4)
    said = r"not finite in torch.float16; the first is in the MLP of layer 1\n  → use --dtype float32"
    with pytest.raises(ModelError, match=said):
        effects(model, [Answer(model.encode(PROMPT).ids, 2, 7)], [Attention(0)])
    with pytest.raises(ModelError, match=said):
        list(intervene_many(model, [Case(PROMPT, [ablate(0, 2, 3)])]))


@pytest.mark.parametrize(
    ("owner", "name"), [(torch.nn.Module, "to"), (AutoModelForCausalLM, "from_pretrained")]
)
def test_a_command_that_cannot_make_its_batches_smaller_says_what_to_do(
    owner: type, name: str, folders: Folders, cli_without_database: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(weights: Any, *given: Any, **named: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nGPU 0 has 1 GiB.")

    monkeypatch.setattr(owner, name, full)
    done = cli_without_database(
        *("attribute", "--prompt", "w1 w2", "--out", "-"),
        *("--model", folders.model, "--transcoders", folders.transcoders),
    )
    assert done.exit_code == 1
    said = " ".join(done.stderr.split())
    assert "The memory of the device is full: CUDA out of memory. Tried to allocate 2 GiB. →" in said
    assert "--device cpu" in said
