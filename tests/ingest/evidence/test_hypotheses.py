"""Hypotheses: refused without held-out prompts, tested once beside random features, corrected for all."""

import json
from pathlib import Path
from random import Random
from statistics import mean, pstdev

import pytest
import torch

from ingest.engine.intervention.edits import Edit, ablate
from ingest.engine.intervention.intervene import intervene
from ingest.engine.replacement.model import ReplacementModel
from ingest.evidence.hypotheses import measured_hypothesis, read_hypothesis
from schema.database import AsyncDatabase, Database
from schema.errors import InputError, NotFoundError
from schema.evidence.hypotheses import (
    HYPOTHESES,
    INTERVENTIONS_OF_HYPOTHESIS,
    CorrectedHypothesis,
    HypothesisOutcome,
    HypothesisStatement,
    corrected_hypotheses,
    keep_test,
    register,
    registered,
)
from schema.questions.question import ask
from tests.support.api import Api
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


def claim(
    folder: Path, lines: list[dict[str, str]], edit: str = "ablate 1/2@all", prediction: str = "lowers"
) -> HypothesisStatement:
    path = folder / "prompts.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return read_hypothesis("does it?", [edit], prediction, path, model="m", transcoders="t")


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


def slow_effect(model: ReplacementModel, prompt: str, edits: list[Edit], token: str) -> float:
    outcome = intervene(model, prompt, edits)
    change = (outcome.logits - outcome.plain_logits)[-1].double()
    return float(change[model.encode(token).ids[-1]] - change.mean())


def all_nulls(
    model: ReplacementModel, prompt: str, edit: Edit, dense: list[torch.Tensor], token: str
) -> list[float]:
    """The effect of every feature of the layer that can take the place of the edited one."""
    assert isinstance(edit.position, int)
    here = dense[edit.layer][edit.position].tolist()
    lengths = [float(row.norm()) for row in model.transcoders.layers[edit.layer].decoder]
    change = (edit.value - here[edit.feature]) * lengths[edit.feature]
    others = [n for n in range(len(here)) if n != edit.feature and lengths[n] > 0]
    edits = [edit._replace(feature=n, value=here[n] + change / lengths[n]) for n in others]
    return [slow_effect(model, prompt, [each], token) for each in edits]


@pytest.mark.parametrize("prediction", ["lowers", "raises"])
def test_a_test_compares_with_features_that_write_as_much(
    model: ReplacementModel, tmp_path: Path, prediction: str
) -> None:
    """Every feature that a draw can give is tried one by one, so the draws must be among them."""
    prompt, token = str(LINES[0]["prompt"]), str(LINES[0]["expected"])
    read = intervene(model, prompt, []).read
    dense = [part.activate(read[number]) for number, part in enumerate(model.transcoders.layers)]
    place = 1 + int(dense[1][1:].max(1).values.argmax())
    feature = int(dense[1][place].argmax())
    found = claim(tmp_path, [LINES[0], *LINES[2:]], f"ablate 1/{feature}@{place}", prediction)
    effect = slow_effect(model, prompt, [ablate(1, place, feature)], token)
    every = all_nulls(model, prompt, Edit(1, place, feature, 0.0), dense, token)
    assert min(abs(each - effect) for each in every) > 1e-7  # so rounding decides nothing
    seen = set()
    for seed in range(8):
        outcome, (tested,) = measured_hypothesis(model, found, draws=1, seed=seed)
        assert (tested.n_edited, tested.n_null, tested.null_sd) == (1, 1, 0.0)
        assert tested.effect == outcome.mean_effect == pytest.approx(effect, abs=1e-6)
        nearest = min(range(len(every)), key=lambda place: abs(every[place] - tested.null_mean))
        assert every[nearest] == pytest.approx(tested.null_mean, abs=1e-6)
        seen.add(nearest)
        as_far = every[nearest] < effect if prediction == "lowers" else every[nearest] > effect
        assert outcome.p == (1 + as_far) / 2
        assert (outcome, [tested]) == measured_hypothesis(model, found, draws=1, seed=seed)
    assert len(seen) > 3
    # Many draws have the mean of all features, within five standard errors.
    n = 250
    outcome, (tested,) = measured_hypothesis(model, found, draws=n)
    assert tested.null_mean == pytest.approx(mean(every), abs=5 * pstdev(every) / n**0.5)
    assert tested.null_sd == pytest.approx(pstdev(every), rel=0.25)


def test_draws_of_several_prompts_are_averaged(model: ReplacementModel, tmp_path: Path) -> None:
    plain = [intervene(model, str(line["prompt"]), []).read for line in LINES[:2]]
    dense = [model.transcoders.layers[1].activate(read[1]) for read in plain]
    feature = int(torch.cat([each[1:] for each in dense]).sum(0).argmax())
    outcome, tested = measured_hypothesis(model, claim(tmp_path, LINES, f"ablate 1/{feature}@all"), draws=9)
    assert [each.n_edited for each in tested] == [int((each[1:, feature] > 1e-6).sum()) for each in dense]
    assert outcome.mean_effect == pytest.approx(mean(each.effect for each in tested), abs=1e-9)
    assert outcome.null_mean == pytest.approx(mean(each.null_mean for each in tested), abs=1e-9)


def adjusted(ps: list[float]) -> list[float]:
    """Benjamini–Hochberg, step by step from the largest."""
    order = sorted(range(len(ps)), key=lambda place: ps[place], reverse=True)
    found, least = [0.0] * len(ps), 1.0
    for down, place in enumerate(order):
        least = min(least, ps[place] * len(ps) / (len(ps) - down))
        found[place] = least
    return found


def listed(database: Database) -> list[CorrectedHypothesis]:
    return corrected_hypotheses(ask(database, HYPOTHESES, timeout_s=60))


async def test_results_are_kept_and_corrected_for_all_that_were_tested(
    database: Database, async_database: AsyncDatabase, model: ReplacementModel, tmp_path: Path
) -> None:
    random = Random(3)
    ps = [0.005, 0.005, 0.02, 0.9, *(random.randrange(1, 200) / 200 for _ in range(6))]
    made = [claim(tmp_path, LINES, f"ablate 1/{number}@all") for number in range(len(ps) + 1)]
    outcome, tested = measured_hypothesis(model, made[0], draws=5)
    for each in made:
        assert register(database, each) == register(database, each) == each.id
        assert registered(database, each.id) == each
    for each, p in zip(made, ps, strict=False):
        records = [record._replace(id=f"{each.id}/{n}") for n, record in enumerate(tested)]
        keep_test(database, each, outcome._replace(p=p), records)
    rows = {row.hypothesis.id: row for row in listed(database)}
    qs = adjusted(ps)
    assert [rows[each.id].q for each in made] == [*map(pytest.approx, qs), None]
    assert [rows[each.id].survived for each in made] == [*(q <= 0.05 for q in qs), None]
    assert {row.n_tested for row in rows.values()} == {len(ps)}
    kept = ask(database, INTERVENTIONS_OF_HYPOTHESIS, timeout_s=60, keys=[made[0].id])
    assert [(row.prompt, row.token, row.effect, row.null_mean, row.n_null) for row in kept] == [
        (each.prompt, each.token, each.effect, each.null_mean, 5) for each in tested
    ]
    asked = "{ hypotheses { id q survived nTested interventions { prompt effect nNull } } }"
    async with Api(async_database) as api:
        answer = (await api(asked))["hypotheses"]
    assert {(each["id"], each["q"], each["survived"], each["nTested"]) for each in answer} == {
        (row.hypothesis.id, row.q, row.survived, row.n_tested) for row in rows.values()
    }
    assert {each["id"]: each["interventions"] for each in answer}[made[0].id] == [
        {"prompt": row.prompt, "effect": row.effect, "nNull": row.n_null} for row in kept
    ]
    # A second test cannot take a result back.
    with pytest.raises(InputError, match="was tested already"):
        registered(database, made[0].id)
    keep_test(database, made[0], HypothesisOutcome(9.0, 9.0, 1, 1.0), ())
    assert {row.hypothesis.id: row for row in listed(database)} == rows
    with pytest.raises(NotFoundError, match="There is no hypothesis 'nobody'"):
        registered(database, "nobody")
