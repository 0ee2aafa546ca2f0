"""Emergence: when in training a task is answered, and when the concept behind the answer does its work.

Checkpoints of the bundled model are read through the transcoders of the last one: the paper's studies look at
finished models only. Features are thus the final ones, and how well they fit a checkpoint is reported beside
(the share of influence that runs through errors).
"""

from ingest.engine.errors import ModelError
from ingest.engine.model import ReplacementModel
from ingest.engine.prune import scores
from ingest.organism.families.multi_step import FACTS
from ingest.organism.weights import CHECKPOINTS_DIR, TRANSCODERS_DIR
from ingest.studies.concepts import Rule, statistics
from ingest.studies.graphs import graphs
from ingest.studies.items import answered, splits
from ingest.studies.multi_step import PLACES, state_trials
from ingest.studies.study import Curve, Finding, Result, Study
from ingest.studies.trials import Setting, nulls, succeeded

FAMILIES = ("multi-step", "arithmetic", "multilingual", "medical", "refusals")
EACH = 60
"""Held-out prompts of each family, for accuracy."""
GRAPHS = 16
"""Held-out prompts whose graphs are computed at each checkpoint."""
LEVEL = 0.8
"""What counts as being there."""
SETTING = Setting(Rule(5.0, 0.5), 1.5)
"""As the multi-step study chose it on its development split, for the last checkpoint."""


def run(model: ReplacementModel) -> Result:
    """Each checkpoint in turn; `model` is the last one, whose concepts are used throughout."""
    folders = sorted(CHECKPOINTS_DIR.glob("step-*"))
    if not folders:
        raise ModelError(
            f"There are no checkpoints in {CHECKPOINTS_DIR}/",
            next_step="make them (about 20 minutes): .venv/bin/python -m ingest.organism train",
        )
    parts = splits("multi-step", lambda item: item.kind in FACTS)
    found = statistics(model, parts.forming, "state", PLACES)
    asked = [item for item in parts.held_out if item.kind in ("capital", "code")][:EACH]
    accuracy: dict[str, list[tuple[int, float]]] = {family: [] for family in FAMILIES}
    swapped: list[tuple[int, float]] = []
    null: list[tuple[int, float]] = []
    errors: list[tuple[int, float]] = []
    for folder in folders:
        step = int(folder.name.removeprefix("step-"))
        then = ReplacementModel.load(folder, TRANSCODERS_DIR)
        for family in FAMILIES:
            items = splits(family).held_out[:EACH]
            accuracy[family].append((step, len(answered(then, items)) / len(items)))
        trials = state_trials(then, found)(SETTING, asked)
        swapped.append((step, succeeded(then, trials) / len(trials)))
        null.append((step, succeeded(then, nulls(then, trials)[0]) / len(trials)))
        share = [
            scores(graph).error_share for graph in graphs(then, [item.prompt for item in asked[:GRAPHS]])
        ]
        errors.append((step, sum(share) / len(share)))
    curves = [
        *(Curve(f"right answers, {family}", points, EACH) for family, points in accuracy.items()),
        Curve("state swapped by its final features: the other state's answer", swapped, len(trials)),
        Curve("the same with random features", null, len(trials)),
        Curve("share of influence in errors, multi-step", errors, GRAPHS),
    ]
    reached = [
        Finding(f"first of these checkpoints at {LEVEL} or more: {curve.what}", first, None, curve.n)
        for curve in curves[: len(FAMILIES) + 1]
        if (first := _first_at(curve.points)) is not None
    ]
    return Result([], reached, curves)


def _first_at(points: list[tuple[int, float]]) -> int | None:
    return next((step for step, value in points if value >= LEVEL), None)


STUDY = Study(
    "emergence",
    "Emergence over training",
    "When is a task answered, and when do the features behind it begin to do their work?",
    run,
)
