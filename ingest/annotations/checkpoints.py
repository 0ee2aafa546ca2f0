"""Checkpoints of a training run in the atlas: circuits at each step, and which features are the same.

1. ingest  the same prompts at every checkpoint, each with its own transcoders, as any other model
2. follow  neighbours: decoder cosine and firing agreement of all features, as the emergence study does
3. link    every feature that circuits have with the same layer and index at the next checkpoint where they do
4. keep    the checkpoints and the links

Stopped at any moment, the database holds whole circuits only; the same command goes on from there.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from torch import Tensor
from torch.nn.functional import cosine_similarity

from ingest.circuits.convert import transcoders_record
from ingest.circuits.prompts import read_prompts
from ingest.circuits.run import IngestSettings, ingest
from ingest.engine.replacement.model import ReplacementModel
from ingest.studies.tools.checkpoints import fires, identity
from ingest.studies.tools.items import Item
from schema.annotations.checkpoints import Checkpoint, Same, Start, features_of, keep_checkpoints
from schema.database import Database
from schema.errors import InputError

TRANSCODERS = "clt"
"""The folder of its transcoders, in the folder of each checkpoint."""


class LoadedCheckpoints(NamedTuple):
    """What one call did."""

    checkpoints: list[Checkpoint]
    starts: list[Start]
    n_same: int
    """Links between features."""
    n_circuits: int
    """Circuits that were not there before."""
    problems: list[Exception]


class _CheckpointFeatures(NamedTuple):
    """What linking needs of one checkpoint."""

    checkpoint: Checkpoint
    kept: set[tuple[int, int]]
    """(layer, index) of the features that its circuits have."""
    fires: Tensor
    """(n_tokens, n_wanted) bool"""
    writes: list[Tensor]
    """Of each wanted feature, what it writes: (n_layers_written * d_model,)"""


def steps(folder: Path) -> list[tuple[int, Path]]:
    """The checkpoints of a folder, such as `step-00600` or `checkpoint-500`, by step.

    Raises InputError when there are fewer than two, or when one has no transcoders.
    """
    found = []
    for each in sorted(folder.glob("*")) if folder.is_dir() else []:
        if match := re.fullmatch(r"(?:checkpoint|step)[-_]?(\d+)", each.name):
            found.append((int(match[1]), each))
    if len(found) < 2:
        raise InputError(
            f"{folder} holds no two checkpoints: folders like step-00600, each with a folder {TRANSCODERS}",
            next_step="name another folder, or make the bundled model's (35 minutes): "
            ".venv/bin/python -m ingest.organism train, then follow",
        )
    if missing := [path.name for _, path in found if not (path / TRANSCODERS).is_dir()]:
        raise InputError(
            f"{', '.join(missing)} of {folder} hold no transcoders: there is no folder {TRANSCODERS} in them",
            next_step=f"put the transcoders of each checkpoint into its folder {TRANSCODERS}",
        )
    return sorted(found)


def load_checkpoints(
    database: Database, folder: Path, settings: IngestSettings, *, console: Console
) -> LoadedCheckpoints:
    """Ingest the prompts of `settings` at every checkpoint of a folder, and link their features.

    Model and transcoders of the settings are replaced by those of each checkpoint. Raises InputError,
    EngineError or DatabaseError; single prompts' trouble is in what is returned.
    """
    found = steps(folder)
    n_circuits, problems = 0, []
    for step, path in found:
        console.print(f"step {step}")
        made = ingest(
            database, replace(settings, model=path, transcoders=path / TRANSCODERS), console=console
        )
        n_circuits += made.loaded
        problems += made.problems
    items = [
        Item(line.prompt, line.expected or "", "", {}, frozenset())
        for line in read_prompts(settings.prompts).prompts
    ]
    with console.status("Comparing the features of neighbours …"):
        then, starts = _follow(database, found, items)
    same = _links(then)
    keep_checkpoints(database, folder.resolve().name, [each.checkpoint for each in then], starts, same)
    return LoadedCheckpoints([each.checkpoint for each in then], starts, len(same), n_circuits, problems)


def _follow(
    database: Database, found: Sequence[tuple[int, Path]], items: Sequence[Item]
) -> tuple[list[_CheckpointFeatures], list[Start]]:
    models = [(step, ReplacementModel.load(path, path / TRANSCODERS)) for step, path in found]
    checkpoints = [Checkpoint(step, transcoders_record(model).id) for step, model in models]
    kept = [set(features_of(database, each.transcoders)) for each in checkpoints]
    wanted = sorted(set.union(*kept))
    layers, numbers = ([at[part] for at in wanted] for part in (0, 1))
    then = [
        _CheckpointFeatures(
            checkpoint,
            features,
            fires(model, items)[:, layers, numbers],
            [model.transcoders.layers[layer].decoder[index].float().flatten() for layer, index in wanted],
        )
        for checkpoint, features, (_, model) in zip(checkpoints, kept, models, strict=True)
    ]
    starts = []
    for (_, earlier), (_, later), a, b in zip(
        models[:-1], models[1:], checkpoints[:-1], checkpoints[1:], strict=True
    ):
        same = identity(earlier, later, items)
        starts.append(
            Start(a.id, b.id, same.cosine, same.agreement, same.null_cosine, same.null_agreement, same.n)
        )
    return then, starts


def _links(then: Sequence[_CheckpointFeatures]) -> list[Same]:
    """Each feature of a circuit with itself at the next checkpoint where a circuit has it."""
    wanted = sorted(set.union(*(each.kept for each in then)))
    has: dict[int, list[_CheckpointFeatures]] = defaultdict(list)
    for each in then:
        for place, at in enumerate(wanted):
            if at in each.kept:
                has[place].append(each)
    links = []
    for place, (layer, index) in enumerate(wanted):
        for earlier, later in zip(has[place][:-1], has[place][1:], strict=True):
            one, other = earlier.fires[:, place], later.fires[:, place]
            either = int((one | other).sum())
            one_id, other_id = (f"{each.checkpoint.transcoders}/{layer}/{index}" for each in (earlier, later))
            cosine = float(cosine_similarity(earlier.writes[place], later.writes[place], dim=0))
            agreement = int((one & other).sum()) / either if either else None
            links.append(Same(one_id, other_id, cosine, agreement))
    return links
