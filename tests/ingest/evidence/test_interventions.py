"""Edits as text, and what `atlas intervene` reports of them."""

import json
import re
from typing import Any

import pytest
import torch

from ingest.engine.attribution.attribute import attribute
from ingest.engine.errors import PromptError
from ingest.engine.intervention.answer_effects import effects_on_logit
from ingest.engine.intervention.edits import Action, Edit, ablate, scale, swap
from ingest.engine.intervention.intervene import changes, intervene
from ingest.engine.replacement.model import ReplacementModel
from ingest.evidence.interventions import InterventionSettings, engine_edits, intervention, one_token
from schema.errors import InputError
from tests.support.cli import Cli, Outcome
from tests.support.engine import PROMPT, Folders, Tiny, save
from tests.support.paths import HOME


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return save(Tiny(context=32), tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def model(folders: Folders) -> ReplacementModel:
    return ReplacementModel.load(*folders)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("set 3/17@5=2.5", [Edit(3, 5, 17, 2.5, Action.SET)]),
        ("scale 0/1@2,5=-2", [scale(0, (2, 5), 1, -2)]),
        ("ablate 0/1@2-4", [ablate(0, (2, 3, 4), 1)]),
        ("ablate 0/1@2-", [ablate(0, slice(2, None), 1)]),
        ("ablate 0/1@all", [ablate(0, slice(None), 1)]),
        ("ablate 0/1@last", [ablate(0, 7, 1)]),
        ("ablate 0/1@new", [ablate(0, slice(8, None), 1)]),
        ("swap 3/17:4/22@5", list(swap((3, 17), (4, 22), 5))),
    ],
)
def test_edits_as_text(text: str, expected: list[Edit]) -> None:
    assert engine_edits(text, 8, generating=True) == expected


@pytest.mark.parametrize("text", ["ablate {texas}@5", "swap {a}:{b}@5", "plant 3/17@5", "plant {a}@5=2"])
def test_edits_that_only_the_database_knows_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="which only the database knows") as refused:
        engine_edits(text, 8)
    assert refused.value.next_step == "name features by LAYER/INDEX and give their activation with set"


def test_one_token(model: ReplacementModel) -> None:
    assert model.decode(one_token(model, "w5")) == "w5"
    with pytest.raises(PromptError) as caught:
        one_token(model, "w5 w6")
    assert str(caught.value).startswith("'w5 w6' is not one token but 2: 'w5', 'w6'\n  → name one of them")


def test_a_report_says_what_the_engine_says(model: ReplacementModel) -> None:
    layer, position, feature = attribute(model, PROMPT).features[0].tolist()
    text = f"{layer}/{feature}@{position}"
    found = intervention(
        model,
        InterventionSettings(
            PROMPT,
            [f"ablate {each}" for each in (text, "0/2@9", "0/1@new")],
            tokens=["w5"],
            n_tokens=3,
            top=4,
        ),
    )
    outcome = intervene(model, PROMPT, [ablate(layer, position, feature)])
    before, after = outcome.plain_logits[-1].softmax(-1), outcome.logits[-1].softmax(-1)
    order = (after - before).abs().argsort(descending=True)[:4].tolist()
    expected = dict.fromkeys([one_token(model, "w5"), *order])
    assert [each.token for each in found.next_tokens] == [model.decode(token) for token in expected]
    assert [each.edited_logit for each in found.next_tokens] == outcome.logits[-1][list(expected)].tolist()
    assert found.tokens == list(model.encode(PROMPT).tokens)
    edited = [
        one for one in found.features if (one.layer, one.index, one.position) == (layer, feature, position)
    ]
    assert all(one.edited_activation == 0 for one in edited)
    assert found.n_features_changed >= len(found.features) == 4
    moved = changes(model, outcome)
    answer = int(outcome.plain_logits[-1].argmax())
    effects = effects_on_logit(model, model.encode(PROMPT).ids, answer, moved)
    assert [one.effect for one in found.features] == effects[
        effects.abs().argsort(descending=True)[:4]
    ].tolist()
    assert found.answer == model.decode(answer)
    assert found.edited is not None
    assert len(found.edited.ids) == 3 or found.edited.ended
    assert int(outcome.logits[-1].argmax()) == found.edited.ids[0]


def test_the_command(cli_without_database: Cli, folders: Folders) -> None:
    options = ("--model", folders.model, "--transcoders", folders.transcoders, "--prompt", PROMPT)

    def run(*words: str) -> Outcome:
        return cli_without_database("intervene", *options, *words)

    code, printed, _, _ = run("--set", "0/3@2=9", "--swap", "1/2:0/4@3-5", "--generate", "2", "--json")
    assert code == 0
    assert set(json.loads(printed)) == {
        "tokens",
        "next_tokens",
        "answer",
        "features",
        "n_features_changed",
        "plain",
        "edited",
    }
    code, printed, _, _ = run("--scale", "0/3@all=2", "--freeze", "attention", "--constrained", "0-1")
    assert code == 0
    assert "features changed" in printed
    for words, message in (
        (["--ablate", "0/3@12"], "position 12, feature 3 is outside the prompt"),
        (["--ablate", "0/99@2"], "has no such feature"),
        (["--ablate", "0/3@2", "--token", "w1 w2"], "is not one token but 2"),
        (["--ablate", "0/3@9-2"], "the range 9-2 runs backwards"),
        (["--ablate", "0/3@new"], "there are no new tokens"),
        (["--ablate", "0/3@2", "--constrained", "2-1"], "--constrained '2-1' cannot be read"),
    ):
        code, printed, complaint, _ = run(*words)
        assert (code, printed) == (1, "")
        assert message in complaint
        assert "→" in complaint


def test_the_page_of_the_docs_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = (HOME / "docs" / "interventions" / "python.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, "docs/interventions/python.md", "exec"), names)
    assert len(names["answers"]) == 5
    driven = slice(0, names["graph"].n_features)
    torch.testing.assert_close(names["measured"][driven], names["predicted"][driven], rtol=1e-3, atol=1e-4)
    assert capsys.readouterr().out.count("\n") == 4
