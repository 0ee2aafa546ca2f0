"""Generation under edits, against a loop of single interventions."""

from pathlib import Path

import pytest
import torch

from ingest.engine.errors import PromptError, SettingError
from ingest.engine.intervention.generate import generate
from ingest.engine.intervention.intervene import Case, Edit, Freeze, ablate, intervene
from ingest.engine.replacement.model import ReplacementModel
from tests.support.engine import PROMPT, Tiny, save


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ReplacementModel:
    return ReplacementModel.load(
        *save(Tiny(context=32), tmp_path_factory.mktemp("tiny")), dtype=torch.float64
    )


def slowly(model: ReplacementModel, edits: list[Edit], n_tokens: int, freeze: Freeze) -> list[int]:
    """One token at a time; edits whose position is not there yet wait."""
    ids = list(model.encode(PROMPT).ids)
    start = len(ids)
    for _ in range(n_tokens):
        here = []
        for edit in edits:
            position = edit.position
            at = (
                [position]
                if isinstance(position, int)
                else range(1000)[position]
                if isinstance(position, slice)
                else position
            )
            places = tuple(place for place in at if 0 < place < len(ids))
            here += [edit._replace(position=places)] if places else []
        ids.append(int(intervene(model, ids, here, freeze=freeze).logits[-1].argmax()))
    return ids[start:]


@pytest.mark.parametrize("freeze", [Freeze.NOTHING, Freeze.ATTENTION])
def test_generation_is_one_intervention_after_another(model: ReplacementModel, freeze: Freeze) -> None:
    cases = [
        Case(PROMPT, []),
        Case(PROMPT, [Edit(0, 3, 2, 30.0)]),
        Case(PROMPT, [Edit(1, slice(8, None), 5, 40.0)]),
        Case(PROMPT, [Edit(1, slice(None), 5, 40.0), ablate(0, (2, 9), 1)]),
    ]
    found = generate(model, cases, 6, freeze=freeze)
    expected = [slowly(model, list(case.edits), 6, freeze) for case in cases]
    cut = [ids[: ids.index(2)] if 2 in ids else ids for ids in expected]
    assert [list(one.edited.ids) for one in found] == cut
    assert {one.plain for one in found} == {found[0].edited}
    assert len({one.edited.ids for one in found}) > 2
    assert found[1].edited.text.split() == list(found[1].edited.tokens)


def test_it_stops_at_the_end_token(model: ReplacementModel) -> None:
    first = generate(model, [Case(PROMPT, [])], 1)[0].plain
    model.tokenizer.eos_token = first.tokens[0]
    try:
        found = generate(model, [Case(PROMPT, [])], 5)[0].plain
    finally:
        model.tokenizer.eos_token = "<end>"
    assert (found.ids, found.text, found.ended, first.ended) == ((), "", True, False)


def test_what_cannot_be_done_is_named(model: ReplacementModel, tmp_path: Path) -> None:
    with pytest.raises(
        PromptError, match=r"the new ones, 8 \+ 25, are more than the model's 32(.|\n)*the excess is 1"
    ):
        generate(model, [Case(PROMPT, [])], 25)
    with pytest.raises(SettingError, match="n_tokens is 0"):
        generate(model, [Case(PROMPT, [])], 0)
    with pytest.raises(SettingError, match=r"position 10, feature 1 is outside the prompt(.|\n)*use 0 to 9"):
        generate(model, [Case(PROMPT, [ablate(0, 10, 1)])], 3)
