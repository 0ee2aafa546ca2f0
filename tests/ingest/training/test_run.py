"""Whole trainings: resumed ones give the same weights, parts and kinds work, bad settings are named."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from ingest.engine.errors import PromptError, SettingError
from ingest.engine.replacement.model import Encoded, ReplacementModel
from ingest.engine.transcoders.formats import recognise
from ingest.training import run as runs
from ingest.training.activations import Activations
from ingest.training.run import Trained, TrainingSettings, train
from ingest.training.texts import contexts, positions_counted
from schema.errors import InputError
from tests.support.engine import WORDS, Tiny, save, tokenizer
from tests.support.models import random_model

QUIET = Console(quiet=True)
SETTINGS = TrainingSettings(features=24, l0=4, epochs=4, batch=32)


@pytest.fixture
def model(tmp_path: Path) -> ReplacementModel:
    return ReplacementModel.load(save(Tiny(), tmp_path / "tiny").model, None)


@pytest.fixture
def texts(model: ReplacementModel) -> list[Encoded]:
    random = np.random.default_rng(0)
    return contexts(model, [" ".join(random.choice(WORDS, 9)) for _ in range(40)], 10)


class Stop(Exception):
    """Ends a training in a test."""


def after(n: int) -> Any:
    def stop() -> None:
        nonlocal n
        n -= 1
        if n == 0:
            raise Stop

    return stop


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {
        f"{path.name} {name}": tensor
        for path in sorted(folder.glob("*.safetensors"))
        for name, tensor in load_file(path).items()
    }


def same(one: Path, other: Path) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_contexts_have_the_first_token_and_lose_nothing_else(model: ReplacementModel) -> None:
    text = " ".join(WORDS[:22])
    found = contexts(model, [text, text, "w1 w2"], 8)
    assert all(encoded.n_left_out == 1 and len(encoded.ids) <= 8 for encoded in found)
    ids = tuple(3 + number for number in range(22))
    pieces = sorted(encoded.ids[1:] for encoded in found)
    # 22 = 3 · 7 + 1: the last token is too short a context; the second text is the first.
    assert pieces == [ids[start : start + 7] for start in (0, 7, 14)]
    assert positions_counted(model, model.encode("w1 <end> w2")) == [False, True, False, True]
    with pytest.raises(PromptError, match="no context of 4 tokens"):
        contexts(model, ["w1 w2"], 8)
    with pytest.raises(SettingError, match="cannot have 17 tokens"):
        contexts(model, [text], 17)


@pytest.mark.parametrize("kind", ["plt", "clt"])
def test_a_stopped_training_gives_the_weights_of_one_that_was_not(
    kind: Any, model: ReplacementModel, texts: list[Encoded], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two parts: a token needs 4 bytes · 3 layers · 16 numbers.
    settings = TrainingSettings(features=24, l0=4, epochs=4, batch=32, kind=kind, skip=True, buffer=200 * 192)
    whole = train(model, texts, settings, tmp_path / "whole", console=QUIET)
    assert whole == Trained(tmp_path / "whole", 360, 4 * (198 // 32 + 162 // 32), whole.losses, False)
    assert all(0 < loss < 1 for loss in whole.losses)
    # Stopped in a part, at its end, and while activations are recorded.
    for n in (5, 30):
        monkeypatch.setattr(runs, "SAVE_EVERY", 0.0 if n == 5 else 1e9)
        with pytest.raises(Stop):
            train(model, texts, settings, tmp_path / "again", console=QUIET, stop=after(n))
    assert not (tmp_path / "again").exists()
    again = train(model, texts, settings, tmp_path / "again", console=QUIET)
    assert again.resumed
    assert same(whole.folder, again.folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "tiny", "whole"]
    found = recognise.read(again.folder)
    assert (found.kind, found.activation, found.has_skip, found.n_features) == (kind, "jumprelu", True, 24)
    assert (found.read_at, found.write_at) == ("mlp.hook_in", "mlp.hook_out")
    assert model.files is not None
    ReplacementModel.load(model.files.folder, again.folder)
    # A finished training is not done again; with other settings it is refused.
    there = train(model, texts, settings, tmp_path / "again", console=QUIET, stop=after(1))
    assert (there.steps, there.losses) == (whole.steps, whole.losses)
    with pytest.raises(InputError, match="another setting: features is 24 there, and 12 now"):
        train(
            model,
            texts,
            TrainingSettings(features=12, l0=4, epochs=4, batch=32, kind=kind, skip=True, buffer=200 * 192),
            tmp_path / "again",
            console=QUIET,
        )


def test_activations_are_those_of_the_model_and_recording_can_stop(
    model: ReplacementModel, texts: list[Encoded], tmp_path: Path
) -> None:
    made = Activations(tmp_path / "part", model, texts)
    with pytest.raises(Stop):
        made.fill(lambda n: after(1)() if n else None)
    assert 0 < made.n_done < len(texts)
    made = Activations(tmp_path / "part", model, texts)
    seen: list[int] = []
    made.fill(seen.append)
    assert sum(seen) == made.n_tokens == 360
    found = made.take(range(3), torch.arange(360), torch.device("cpu"))
    at = 0
    for encoded in texts:
        frozen = model.freeze(encoded.ids)
        for got, want in (
            (found.x[:, at : at + 9], frozen.mlp_norm_output[:, 1:]),
            (found.y[:, at : at + 9], frozen.mlp_output[:, 1:]),
        ):
            torch.testing.assert_close(got, want, rtol=1e-2, atol=1e-4)
        at += 9
    few = made.take(range(1, 2), torch.tensor([3, 100]), torch.device("cpu"))
    assert torch.equal(few.x, found.x[1:2, [3, 100]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"l0": 25.0}, "25 of 24 features of a layer cannot be active"),
        ({"buffer": 10**17, "epochs": 1}, None),
    ],
)
def test_settings_that_do_not_fit_are_named(
    change: dict[str, Any], message: str | None, model: ReplacementModel, texts: list[Encoded], tmp_path: Path
) -> None:
    settings = TrainingSettings(**({"features": 24, "l0": 4, "batch": 400} | change))
    if message is None:
        # A batch larger than the texts, and a buffer larger than the disk, are no mistake.
        assert train(model, texts, settings, tmp_path / "out", console=QUIET).steps == 1
        return
    with pytest.raises(SettingError, match=message):
        train(model, texts, settings, tmp_path / "out", console=QUIET)


def test_a_folder_that_holds_something_else_and_a_full_disk_are_refused(
    model: ReplacementModel, texts: list[Encoded], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").write_text("mine")
    with pytest.raises(InputError, match="out is there already"):
        train(model, texts, SETTINGS, tmp_path / "out", console=QUIET)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(InputError, match=r"has 0\.0 GB free, and the activations need"):
        train(model, texts, SETTINGS, tmp_path / "full", console=QUIET)


def test_too_little_text_is_refused_and_leaves_nothing_behind(
    model: ReplacementModel, texts: list[Encoded], tmp_path: Path
) -> None:
    few = contexts(model, ["w1 w2 w3 w4", "<unk> <unk> <unk> <unk>"], 10)
    for some, n in ((few, "4 tokens are too few for 24 features a layer"), (few[:0], "only special tokens")):
        with pytest.raises(InputError, match=n):
            train(model, some, SETTINGS, tmp_path / "out", console=QUIET)
        assert not list(tmp_path.glob("out*"))
    assert train(model, texts, SETTINGS, tmp_path / "out", console=QUIET).n_tokens == 360


def test_the_record_says_how_a_set_was_trained(
    model: ReplacementModel, texts: list[Encoded], tmp_path: Path
) -> None:
    done = train(model, texts, SETTINGS, tmp_path / "out", console=QUIET)
    kept = orjson.loads((done.folder / runs.RECORD).read_bytes())
    assert {name: kept[name] for name in ("kind", "features", "l0", "n_tokens", "steps", "losses")} == {
        "kind": "plt", "features": 24, "l0": 4.0, "n_tokens": 360, "steps": 44, "losses": done.losses
    }  # fmt: skip


def test_skip_connections_are_refused_for_parallel_models(tmp_path: Path, texts: list[Encoded]) -> None:
    model = ReplacementModel.build(random_model("gpt-neox, parallel"), tokenizer(Tiny()), None)
    with pytest.raises(SettingError, match="GPTNeoXForCausalLM with parallel residuals"):
        train(model, texts, TrainingSettings(features=8, l0=2, skip=True), tmp_path / "out", console=QUIET)
