"""Tests of hypotheses: the edits on each held-out prompt, beside random features that write as much.

Steps
1. The effect on a prompt is the change of the expected token's logit, less the mean over the vocabulary.
2. DRAWS times, every edited activation is replaced by that of a random feature of the same layer and position
   that writes a vector of the same length (`ingest.studies.tools.trials.random_edits`), for all prompts.
3. p = (1 + draws whose mean effect is as far in the predicted direction) / (1 + draws).

Attention, norms and MLPs are free to react.

Source of 3: Phipson & Smyth (2010), permutation p-values are never zero.
"""

from collections.abc import Callable, Sequence
from math import fsum
from pathlib import Path
from random import Random
from statistics import mean, pstdev

from ingest.circuits.prompts import PromptLine, read_prompts
from ingest.engine.intervention.intervene import Case
from ingest.engine.replacement.model import ReplacementModel
from ingest.evidence.effects import Aim, absolute, activations, effects
from ingest.evidence.interventions import engine_edits, one_token
from ingest.studies.tools.trials import random_edits
from schema.errors import InputError
from schema.evidence.hypotheses import Hypothesis, Measured, Result

DRAWS = 199
"""Of random features: the smallest p is 1 / 200."""
SEED = 0


def hypothesis(
    question: str, edits: Sequence[str], prediction: str, prompts: Path, *, model: str, transcoders: str
) -> Hypothesis:
    """From a prompts file: lines of split `held-out` test it, all others formed it.

    edits: kind and edit, such as `ablate 3/17@5`. Raises InputError when the file has bad lines, no held-out
    prompt that did not form it too, or none of these with an expected token.
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
    return Hypothesis(
        question=question,
        edits=tuple(edits),
        prediction=prediction,
        prompts=tuple(lines),
        tokens=tuple(str(line.expected) for line in lines.values()),
        formed_on=tuple(sorted(formed)),
        model=model,
        transcoders=transcoders,
    )


def measured(
    model: ReplacementModel,
    claim: Hypothesis,
    *,
    draws: int = DRAWS,
    seed: int = SEED,
    step: Callable[[], None] = lambda: None,
) -> Result:
    """Run the test. Raises EngineError before anything is computed for prompts or edits that do not fit.

    step: called after each draw.
    """
    encoded = [model.encode(prompt) for prompt in claim.prompts]
    aims = [Aim(one_token(model, token)) for token in claim.tokens]
    present = [activations(model, each) for each in encoded]
    edits = [absolute(model, claim.edits, each, dense) for each, dense in zip(encoded, present, strict=True)]
    # 1
    measured = effects(model, list(map(Case, claim.prompts, edits)), aims)
    # 2
    random = Random(seed)
    null = []
    for _ in range(draws):
        drawn_edits = [
            random_edits(model, mine, dense, random) for mine, dense in zip(edits, present, strict=True)
        ]
        null.append(effects(model, list(map(Case, claim.prompts, drawn_edits)), aims))
        step()
    # 3
    sign = 1 if claim.prediction == "raises" else -1
    n = len(claim.prompts)
    observed = fsum(measured) / n
    drawn = [fsum(each) / n for each in null]
    as_far = sum(sign * each >= sign * observed for each in drawn)
    return Result(
        mean_effect=observed,
        null_mean=mean(drawn),
        draws=draws,
        p=(1 + as_far) / (1 + draws),
        interventions=[
            Measured(
                prompt=claim.prompts[place],
                token=claim.tokens[place],
                effect=measured[place],
                null_mean=mean(each[place] for each in null),
                null_sd=pstdev(each[place] for each in null),
                n_null=draws,
                n_edited=len(edits[place]),
                seed=seed,
            )
            for place in range(n)
        ],
    )
