"""Emergence: which comes first in training, the parts of a circuit or the skill.

The study measures at each checkpoint how often a task is answered, how much of the finished circuits exists,
and whether the concept behind an answer has its effect. The studies of the paper look at finished models
only.

Each checkpoint has its own transcoders. They were trained from those of the next checkpoint, so that features
keep their names (`ingest.studies.tools.checkpoints`).
"""

from collections import defaultdict
from pathlib import Path

from ingest.engine.attribution.prune import scores
from ingest.engine.errors import ModelError
from ingest.engine.replacement.model import ReplacementModel
from ingest.organism.weights import CHECKPOINTS_DIR
from ingest.studies.multi_step import answers_of, places_of, state_prompts, state_trials
from ingest.studies.tools.checkpoints import CircuitParts, half_way, identity, overlap, parts
from ingest.studies.tools.concepts import MembershipRule, statistics
from ingest.studies.tools.graphs import graphs
from ingest.studies.tools.items import Item, answered
from ingest.studies.tools.prompts import Needs, Prompts
from ingest.studies.tools.study import Curve, Study, StudyFinding, StudyResult
from ingest.studies.tools.trials import Setting, null_trials, succeeded

ACCURACY = 60
"""Held-out prompts of each family for accuracy and swaps."""
CIRCUITS = 12
"""Held-out prompts of each family whose circuits are compared. The finished model answers them correctly."""
SETTING = Setting(MembershipRule(5.0, 0.5), 1.5)
"""The setting for all checkpoints. It is close to the choice of the multi-step study for the last
checkpoint."""
RIGHT, FEATURES, EDGES, OTHERS = (
    "right answers",
    "features of the finished circuit there",
    "edges of the finished circuit there",
    "features of another prompt's circuit there",
)


def run(model: ReplacementModel, prompts: Prompts) -> StudyResult:
    """Measure each checkpoint, the last one first. The concepts of `model` are swapped at all checkpoints."""
    split = state_prompts(prompts)
    answers = answers_of(split)
    found = statistics(model, split.forming, "state", places_of(model))
    tried = [item for item in split.held_out if item.kind in ("capital", "code")][:ACCURACY]
    held = {family: prompts.splits(family).held_out[:ACCURACY] for family in prompts.families}
    finished: dict[str, list[CircuitParts]] = {}
    compared: dict[str, list[Item]] = {}
    points: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
    sample = [item for items in held.values() for item in items[:CIRCUITS]]
    later = model
    for folder in reversed(checkpoints()):
        step = int(folder.name.removeprefix("step-"))
        then = ReplacementModel.load(folder, folder / "clt", device=model.device, dtype=model.dtype)
        then = then.putting_first(model.puts_first)

        def add(group: str, what: str, value: float, step: int = step) -> None:
            points[group, what].insert(0, (step, value))

        shares = []
        for family, items in held.items():
            right = answered(then, items)
            add(family, RIGHT, len(right) / len(items))
            compared.setdefault(family, right[:CIRCUITS])
            circuits = []
            for graph in graphs(then, [item.prompt for item in compared[family]], prompts.max_feature_nodes):
                shares.append(scores(graph).error_share)
                circuits.append(parts(graph))
            share = overlap(circuits, finished.setdefault(family, circuits))
            add(family, FEATURES, share.features)
            add(family, EDGES, share.edges)
            add(family, OTHERS, share.null_features)
        trials = state_trials(then, found, answers)(SETTING, tried)
        add("state swapped", "the other state's answer follows", succeeded(then, trials) / len(trials))
        null = null_trials(then, trials).trials
        add("state swapped", "the same with random features", succeeded(then, null) / len(trials))
        add("transcoders", "share of influence in errors", sum(shares) / len(shares))
        same = identity(then, later, sample)
        add("transcoders", "decoder cosine with the next checkpoint", same.cosine)
        add("transcoders", "firing agreement with the next checkpoint", same.agreement)
        add("transcoders", "firing agreement, another feature", same.null_agreement)
        later = then
    curves = [Curve(what, points[group, what], group) for group, what in points]
    halves = [
        StudyFinding(
            f"{family}: training step at which half of the way is gone, {what}",
            half_way(points[family, what]),
            None,
            len(compared[family]),
        )
        for family in prompts.families
        for what in (RIGHT, FEATURES, EDGES)
    ]
    return StudyResult([], halves, curves)


def checkpoints() -> list[Path]:
    """The folders of the bundled model's checkpoints, by step. Raises ModelError when they are missing."""
    folders = sorted(CHECKPOINTS_DIR.glob("step-*"))
    for command, missing in (
        ("train", not folders),
        ("follow", any(not (folder / "clt" / "config.yaml").exists() for folder in folders)),
    ):
        if missing:
            what = "checkpoints" if command == "train" else "transcoders of every checkpoint"
            raise ModelError(
                f"There are no {what} in {CHECKPOINTS_DIR}/",
                next_step=f"make them (about 20 minutes): python -m ingest.organism {command}",
            )
    return folders


STUDY = Study(
    "emergence",
    "Emergence over training",
    "Which comes first in training: the parts of a circuit, or the skill?",
    run,
    [Needs(bundled="the checkpoints of the bundled model, with transcoders trained one from the other")],
)
