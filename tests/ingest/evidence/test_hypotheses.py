"""Hypotheses: refused without held-out prompts, tested once beside random features, corrected for all."""

import json
from pathlib import Path
from random import Random

import pytest
import torch

from ingest.engine.intervention.edits import Edit, ablate
from ingest.engine.intervention.intervene import intervene
from ingest.engine.replacement.model import ReplacementModel
from ingest.evidence.hypotheses import hypothesis, measured
from schema.database import AsyncDatabase, Database
from schema.errors import InputError, NotFoundError
from schema.evidence.hypotheses import (
    HYPOTHESES,
    INTERVENTIONS_OF_HYPOTHESIS,
    Hypothesis,
    Result,
    keep,
    register,
    registered,
)
from schema.questions.question import ask
from tests.support.api import Api
from tests.support.effects import slow_random_edits
from tests.support.engine import Tiny, save

LINES = [
    {"prompt": "w3 w1 w4", "expected": "w5", "split": "held-out"},
    {"prompt": "w2 w7 w1", "expected": "w6", "split": "held-out"},
    {"prompt": "w9 w9", "expected": "w6", "split": "train"},
    {"prompt": "w8 w2 w2"},
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ReplacementModel:
    return ReplacementModel.load(*save(Tiny(context=32), tmp_path_factory.mktemp("tiny")))


def claim(folder: Path, lines: list[dict[str, str]], edit: str = "ablate 1/2@all") -> Hypothesis:
    path = folder / "prompts.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return hypothesis("does it?", [edit], "lowers", path, model="m", transcoders="t")


def test_a_hypothesis_is_tested_on_prompts_that_did_not_form_it(tmp_path: Path) -> None:
    found = claim(tmp_path, [*LINES, {**LINES[0], "split": "train"}])
    assert (found.prompts, found.tokens) == (("w2 w7 w1",), ("w6",))
    assert found.formed_on == ("w3 w1 w4", "w8 w2 w2", "w9 w9")


def test_a_hypothesis_without_held_out_prompts_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'does it\?' has no held-out prompts") as refused:
        claim(tmp_path, LINES[2:])
    assert refused.value.next_step is not None
    with pytest.raises(InputError, match="'melt 1/2@3' is no edit"):
        claim(tmp_path, LINES, "melt 1/2@3")


def test_a_test_measures_what_ablating_one_by_one_measures(model: ReplacementModel, tmp_path: Path) -> None:
    fires = torch.stack([intervene(model, str(line["prompt"]), []).read[1, -1] for line in LINES[:2]])
    feature = int(model.transcoders.layers[1].activate(fires).sum(0).argmax())
    found = claim(tmp_path, LINES, f"ablate 1/{feature}@all")
    result = measured(model, found, draws=9)
    expected = []
    for prompt, token in zip(found.prompts, found.tokens, strict=True):
        outcome = intervene(model, prompt, [ablate(1, slice(None), feature)])
        change = (outcome.logits - outcome.plain_logits)[-1].double()
        expected.append(float(change[model.encode(token).ids[-1]] - change.mean()))
    assert [each.effect for each in result.interventions] == pytest.approx(expected, abs=1e-6)
    assert any(each.n_edited for each in result.interventions)
    assert result.mean_effect == pytest.approx(sum(expected) / 2, abs=1e-6)
    assert result == measured(model, found, draws=9)
    random, as_far = Random(0), 0
    for _ in range(9):
        drawn = []
        for prompt, token in zip(found.prompts, found.tokens, strict=True):
            plain = intervene(model, prompt, []).read
            dense = [part.activate(plain[n]) for n, part in enumerate(model.transcoders.layers)]
            edits = [Edit(1, n, feature, 0.0) for n, each in enumerate(dense[1][:, feature]) if n and each]
            outcome = intervene(model, prompt, slow_random_edits(model, edits, dense, random))
            change = (outcome.logits - outcome.plain_logits)[-1].double()
            drawn.append(float(change[model.encode(token).ids[-1]] - change.mean()))
        as_far += sum(drawn) <= sum(expected)
    assert result.p == (1 + as_far) / (1 + 9)


def adjusted(ps: list[float]) -> list[float]:
    """Benjamini–Hochberg, step by step from the largest."""
    order = sorted(range(len(ps)), key=lambda place: ps[place], reverse=True)
    found, least = [0.0] * len(ps), 1.0
    for down, place in enumerate(order):
        least = min(least, ps[place] * len(ps) / (len(ps) - down))
        found[place] = least
    return found


async def test_results_are_kept_and_corrected_for_all_that_were_tested(
    database: Database, async_database: AsyncDatabase, model: ReplacementModel, tmp_path: Path
) -> None:
    random = Random(3)
    ps = [0.005, 0.005, 0.02, 0.9, *(random.randrange(1, 200) / 200 for _ in range(6))]
    made = [claim(tmp_path, LINES, f"ablate 1/{number}@all") for number in range(len(ps) + 1)]
    first = measured(model, made[0], draws=5)
    for each in made:
        assert register(database, each) == register(database, each) == each.id
        assert registered(database, each.id) == each
    for each, p in zip(made, ps, strict=False):
        keep(database, each, first._replace(p=p))
    rows = {row.id: row for row in ask(database, HYPOTHESES, timeout_s=60, level=0.05)}
    qs = adjusted(ps)
    assert [rows[each.id].q for each in made] == [*map(pytest.approx, qs), None]
    assert [rows[each.id].survived for each in made] == [*(q <= 0.05 for q in qs), None]
    assert {row.n_tested for row in rows.values()} == {len(ps)}
    kept = ask(database, INTERVENTIONS_OF_HYPOTHESIS, timeout_s=60, keys=[made[0].id])
    assert [(row.prompt, row.token, row.effect, row.null_mean, row.n_null) for row in kept] == [
        (each.prompt, each.token, each.effect, each.null_mean, 5) for each in first.interventions
    ]
    asked = "{ hypotheses { id q survived nTested interventions { prompt effect nNull } } }"
    async with Api(async_database) as api:
        answer = (await api(asked))["hypotheses"]
    assert {(each["id"], each["q"], each["survived"], each["nTested"]) for each in answer} == {
        (row.id, row.q, row.survived, row.n_tested) for row in rows.values()
    }
    assert {each["id"]: each["interventions"] for each in answer}[made[0].id] == [
        {"prompt": row.prompt, "effect": row.effect, "nNull": row.n_null} for row in kept
    ]
    # A second test cannot take a result back.
    with pytest.raises(InputError, match="was tested already"):
        registered(database, made[0].id)
    keep(database, made[0], Result(9.0, 9.0, 1, 1.0, ()))
    assert {row.id: row for row in ask(database, HYPOTHESES, timeout_s=60, level=0.05)} == rows
    with pytest.raises(NotFoundError, match="There is no hypothesis 'nobody'"):
        registered(database, "nobody")
