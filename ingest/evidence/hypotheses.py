"""Tests of hypotheses: the edits on each held-out prompt, beside random features that write as much.

Steps
1. The effect on a prompt is the change of the expected token's logit, less the mean over the vocabulary.
2. `draws` times the same with random features of the same layers and positions that write vectors of the same
   length (`ingest.engine.intervention.matched`), in all prompts.
3. p = (1 + draws whose mean effect is as far in the predicted direction) / (1 + draws).

Attention, norms and MLPs are free to react.

Source of 3: Phipson & Smyth (2010), permutation p-values should never be zero.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from statistics import fmean, pstdev

from ingest.circuits.prompts import PromptLine, read_prompts
from ingest.engine.intervention.intervene import Case
from ingest.engine.intervention.matched import MatchedFeatures
from ingest.engine.replacement.model import LEFT_OUT, ReplacementModel
from ingest.evidence.effects import Aim, absolute, activations, compared, effects
from ingest.evidence.interventions import engine_edits, one_token
from schema.errors import InputError
from schema.evidence.hypotheses import HypothesisOutcome, HypothesisStatement
from schema.evidence.interventions import InterventionRecord

DRAWS = 199
"""Draws of random features: the smallest p is 1 / 200."""
SEED = 0


def read_hypothesis(
    question: str,
    edits: Sequence[str],
    prediction: str,
    prompts: Path,
    *,
    model: str,
    transcoders: str,
    first_token: str = LEFT_OUT,
) -> HypothesisStatement:
    """A hypothesis with the prompts of a file: lines of split `held-out` test it, all other lines formed it.

    edits: kind and edit of features, such as `ablate 3/17@5`. Raises InputError for an edit or a line of the
    file that cannot be read, and when the file has no held-out prompt with an expected token that did not
    form the hypothesis.
    """
    if prediction not in ("lowers", "raises"):
        raise InputError(f"The prediction is {prediction!r}", next_step="use lowers or raises")
    if not edits:
        raise InputError("The hypothesis edits nothing", next_step="give --edit 'ablate 3/17@5'")
    for edit in edits:
        engine_edits(edit, 1)
    found = read_prompts(prompts)
    if found.problems:
        raise found.problems[0]
    formed = {line.prompt for line in found.prompts if line.split != "held-out"}
    lines: dict[str, PromptLine] = {
        line.prompt: line for line in found.prompts if line.prompt not in formed and line.expected is not None
    }
    if not lines:
        raise InputError(
            f"{question!r} has no held-out prompts: {prompts} has no line of split held-out that has an "
            "expected token and did not form the hypothesis",
            next_step='add lines such as {"prompt": "…", "expected": "…", "split": "held-out"}',
        )
    return HypothesisStatement(
        question=question,
        edits=tuple(edits),
        prediction=prediction,
        prompts=tuple(lines),
        tokens=tuple(str(line.expected) for line in lines.values()),
        formed_on=tuple(sorted(formed)),
        model=model,
        transcoders=transcoders,
        first_token=None if first_token == LEFT_OUT else first_token,
    )


def n_runs(hypothesis: HypothesisStatement, draws: int = DRAWS) -> int:
    """How many edited prompts a test runs."""
    return len(hypothesis.prompts) * (1 + draws)


def measured_hypothesis(
    model: ReplacementModel,
    hypothesis: HypothesisStatement,
    *,
    draws: int = DRAWS,
    seed: int = SEED,
    step: Callable[[], None] = lambda: None,
) -> tuple[HypothesisOutcome, list[InterventionRecord]]:
    """Run the test: its outcome, and one intervention for each held-out prompt.

    The first token is that of the hypothesis. step: called after each draw. Raises EngineError, before
    anything is computed, for prompts or edits that do not fit the model.
    """
    model = model.putting_first(hypothesis.first_token or LEFT_OUT)
    encoded = [model.encode(prompt) for prompt in hypothesis.prompts]
    aims = [Aim(one_token(model, token)) for token in hypothesis.tokens]
    present = [activations(model, each) for each in encoded]
    edits = [
        absolute(model, hypothesis.edits, each, dense) for each, dense in zip(encoded, present, strict=True)
    ]
    random, matched = Random(seed), MatchedFeatures(model)
    drawn = [
        [matched.draw(mine, dense, random) for mine, dense in zip(edits, present, strict=True)]
        for _ in range(draws)
    ]
    # 1, 2: all runs of one prompt together, so that the unedited prompt runs once for many of them
    measured, nulls = [], []
    for prompt, aim, *runs in zip(encoded, aims, edits, *drawn, strict=True):
        effect, *null = effects(model, [Case(prompt, each) for each in runs], [aim] * len(runs), step=step)
        measured.append(effect)
        nulls.append(null)
    # 3
    found = compared(measured, nulls, 1 if hypothesis.prediction == "raises" else -1)
    outcome = HypothesisOutcome(found.effect, found.null_mean, draws, found.p)
    return outcome, [
        InterventionRecord(
            id=f"{hypothesis.id}/{place:05}",
            prompt=hypothesis.prompts[place],
            token=hypothesis.tokens[place],
            edits=list(hypothesis.edits),
            effect=measured[place],
            null_mean=fmean(null),
            null_sd=pstdev(null),
            n_null=draws,
            n_edited=len(edits[place]),
            seed=seed,
        )
        for place, null in enumerate(nulls)
    ]
