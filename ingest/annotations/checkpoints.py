"""Loads the checkpoints of a training run: circuits at each step, and links between equal features.

1. ingest  the same prompts at every checkpoint, each with its own transcoders, like any other model
2. compare neighbouring checkpoints: decoder cosine and firing agreement of all features, as in the
           emergence study
3. link    every feature of a circuit with the feature of the same layer and index at the next checkpoint
           where a circuit has it
4. store   the checkpoints and the links

The database holds whole circuits whenever the command is stopped, and the same command resumes it.
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
from ingest.studies.tools.checkpoints import fires, identity
from ingest.studies.tools.items import Item
from schema.annotations.checkpoints import Checkpoint, SameFeature, StartedFrom, features_of, keep_checkpoints
from schema.database import Database
from schema.errors import InputError

TRANSCODERS = "clt"
"""Name of the folder with the transcoders, inside the folder of each checkpoint."""


class LoadedCheckpoints(NamedTuple):
    """What one call loaded."""

    checkpoints: list[Checkpoint]
    """All checkpoints, by step."""
    starts: list[StartedFrom]
    """How similar equally named features are, for each pair of neighbouring checkpoints."""
    n_same: int
    """Links between features."""
    n_circuits: int
    """Circuits that are new in the database."""
    problems: list[Exception]
    """One error for each prompt and checkpoint that failed."""


class _CheckpointFeatures(NamedTuple):
    """The features of one checkpoint, as far as linking needs them."""

    checkpoint: Checkpoint
    kept: set[tuple[int, int]]
    """(layer, index) of the features that the checkpoint's circuits have"""
    fires: Tensor
    """(n_tokens, n_wanted) bool: where each wanted feature fires"""
    writes: list[Tensor]
    """Decoder vector of each wanted feature: (n_layers_written * d_model,)"""


def steps(folder: Path) -> list[tuple[int, Path]]:
    """The (step, folder) pairs of a training run, by step.

    Folders are named like `step-00600`, `checkpoint-500`.

    Raises InputError when there are fewer than two checkpoints, or when one has no transcoders.
    """
    found = []
    for each in sorted(folder.glob("*")) if folder.is_dir() else []:
        if match := re.fullmatch(r"(?:checkpoint|step)[-_]?(\d+)", each.name):
            found.append((int(match[1]), each))
    if len(found) < 2:
        raise InputError(
            f"{folder} does not contain two checkpoints (folders like step-00600 with {TRANSCODERS}/ inside)",
            next_step="name another folder, or make the checkpoints of the bundled model (35 minutes): "
            "python -m ingest.organism train, then follow",
        )
    if missing := [path.name for _, path in found if not (path / TRANSCODERS).is_dir()]:
        raise InputError(
            f"{', '.join(missing)} of {folder} have no transcoders: there is no folder {TRANSCODERS} in them",
            next_step=f"put the transcoders of each checkpoint into its folder {TRANSCODERS}",
        )
    return sorted(found)


def load_checkpoints(
    database: Database, folder: Path, settings: IngestSettings, *, console: Console
) -> LoadedCheckpoints:
    """Ingest the prompts of `settings` at every checkpoint of a folder, and link their features.

    Each checkpoint replaces the model and the transcoders of the settings. The errors of single prompts are
    in the result. Raises InputError, EngineError or DatabaseError.
    """
    found = steps(folder)
    n_circuits, problems = 0, []
    for step, path in found:
        console.print(f"step {step}")
        made = ingest(database, _at_checkpoint(settings, path), console=console)
        n_circuits += made.loaded
        problems += made.problems
    items = [
        Item(line.prompt, line.expected or "", "", {}, frozenset())
        for line in read_prompts(settings.prompts).prompts
    ]
    with console.status("Comparing the features of neighbouring checkpoints …"):
        then, starts = _follow(database, found, items, settings)
    same = _links(then)
    keep_checkpoints(database, folder.resolve().name, [each.checkpoint for each in then], starts, same)
    return LoadedCheckpoints([each.checkpoint for each in then], starts, len(same), n_circuits, problems)


def _at_checkpoint(settings: IngestSettings, path: Path) -> IngestSettings:
    return replace(settings, model=path, transcoders=path / TRANSCODERS)


def _follow(
    database: Database, found: Sequence[tuple[int, Path]], items: Sequence[Item], settings: IngestSettings
) -> tuple[list[_CheckpointFeatures], list[StartedFrom]]:
    models = [(step, _at_checkpoint(settings, path).load_model()) for step, path in found]
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
            StartedFrom(
                a.id, b.id, same.cosine, same.agreement, same.null_cosine, same.null_agreement, same.n
            )
        )
    return then, starts


def _links(then: Sequence[_CheckpointFeatures]) -> list[SameFeature]:
    """Link each feature of a circuit with itself at the next checkpoint where a circuit has it."""
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
            links.append(SameFeature(one_id, other_id, cosine, agreement))
    return links
