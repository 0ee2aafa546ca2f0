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


def slow_draw(
    model: ReplacementModel, edits: list[Edit], dense: list[torch.Tensor], random: Random
) -> list[Edit]:
    """Random features that write as much: active ones are ablated, and silent ones take the rest."""
    taken = {(each.position, each.feature) for each in edits}
    active: dict[int, list[int]] = {}
    found = []
    for each in edits:
        layer, position = each.layer, int(str(each.position))
        here = dense[layer][position].tolist()
        change = each.value - here[each.feature]
        if position not in active:
            active[position] = [n for n, value in enumerate(here) if value != 0]
            random.shuffle(active[position])
        value = None
        while change < 0 and active[position] and value is None:
            other = active[position].pop()
            if (position, other) not in taken:
                value = 0.0
        if value is None:
            lengths = [float(row.norm()) or 1.0 for row in model.transcoders.layers[layer].decoder]
            other = random.randrange(len(here))
            while here[other] != 0 or (position, other) in taken:
                other = random.randrange(len(here))
            value = abs(change) * lengths[each.feature] / lengths[other]
        taken.add((position, other))
        found.append(Edit(layer, position, other, value))
    return found


@pytest.mark.parametrize("prediction", ["lowers", "raises"])
def test_a_test_measures_what_editing_one_by_one_measures(
    model: ReplacementModel, tmp_path: Path, prediction: str
) -> None:
    draws, seed = 9, 3
    plain = [intervene(model, str(line["prompt"]), []).read for line in LINES[:2]]
    layers = model.transcoders.layers
    dense = [[part.activate(read[number]) for number, part in enumerate(layers)] for read in plain]
    feature = int(torch.cat([each[1][1:] for each in dense]).sum(0).argmax())
    found = claim(tmp_path, LINES, f"ablate 1/{feature}@all", prediction)
    outcome, tested = measured_hypothesis(model, found, draws=draws, seed=seed)
    edits = [
        [Edit(1, place, feature, 0.0) for place in range(1, len(each[1])) if each[1][place, feature] > 1e-6]
        for each in dense
    ]
    assert [each.n_edited for each in tested] == [len(each) for each in edits]
    assert sum(map(len, edits)) > 0
    random = Random(seed)
    nulls = [
        [
            slow_effect(model, prompt, slow_draw(model, mine, here, random), token)
            for prompt, token, mine, here in zip(found.prompts, found.tokens, edits, dense, strict=True)
        ]
        for _ in range(draws)
    ]
    effects = [
        slow_effect(model, prompt, [ablate(1, slice(None), feature)], token)
        for prompt, token in zip(found.prompts, found.tokens, strict=True)
    ]
    assert [each.effect for each in tested] == pytest.approx(effects, abs=1e-6)
    by_prompt = list(zip(*nulls, strict=True))
    assert [each.null_mean for each in tested] == pytest.approx([mean(each) for each in by_prompt], abs=1e-6)
    assert [each.null_sd for each in tested] == pytest.approx([pstdev(each) for each in by_prompt], abs=1e-6)
    means, effect = [mean(each) for each in nulls], mean(effects)
    # No draw is so near that rounding decides whether it counts.
    assert min(abs(each - effect) for each in means) > 1e-5
    as_far = sum(each < effect if prediction == "lowers" else each > effect for each in means)
    assert outcome.p == (1 + as_far) / (1 + draws)
    assert (outcome.mean_effect, outcome.null_mean) == pytest.approx((effect, mean(means)), abs=1e-6)
    assert (outcome, tested) == measured_hypothesis(model, found, draws=draws, seed=seed)


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
