"""What edits do to one next token of one prompt, and what random features of the same layers do to it.

The effect is the change of the token's logit less the mean over the vocabulary: the logit that an attribution
graph attributes.

The null gives each edited activation's change to a random feature of the same layer and position, scaled so
that it writes a vector of the same length with the same sign.
"""

from collections.abc import Sequence, Set
from random import Random
from typing import NamedTuple

import torch
from torch import Tensor

from ingest.engine.intervention.edits import Action, Edit, resolve
from ingest.engine.intervention.hold import Freeze
from ingest.engine.intervention.intervene import Case, intervene_many
from ingest.engine.replacement.model import Encoded, ReplacementModel
from ingest.evidence.interventions import engine_edits
from schema.errors import InputError

LEAST = 1e-6
"""Smaller changes of an activation are none."""

TRIES = 200
"""Draws before the features that are left are listed."""


class Held(NamedTuple):
    """What is held while edits act."""

    freeze: Freeze = Freeze.NOTHING
    constrained: range = range(0)
    writes: range | None = None


class Aim(NamedTuple):
    """The next token whose logit is looked at."""

    token: int
    """Vocabulary id."""
    position: int = -1


FREE = Held()


def node_place(node: str) -> tuple[int, int, int] | None:
    """Layer, position and index of an MLP feature's node, from its id; None for other nodes."""
    kind, _, rest = node.rpartition("/")[2].partition(":")
    parts = rest.split(":")
    if kind != "feature" or len(parts) != 3:
        return None
    layer, position, index = map(int, parts)
    return layer, position, index


def activations(model: ReplacementModel, encoded: Encoded) -> Tensor:
    """(n_positions, n_layers, n_features)"""
    read = model.read(model.freeze_many([encoded.ids])[0])
    return torch.stack(
        [part.activate(read[number]) for number, part in enumerate(model.transcoders.layers)], 1
    )


def absolute(model: ReplacementModel, texts: Sequence[str], encoded: Encoded, dense: Tensor) -> list[Edit]:
    """The edits as new activations, one position each; those that change nothing are left out.

    dense: `activations` of the prompt. Raises InputError, SettingError.
    """
    edits = [edit for text in texts for edit in engine_edits(text, len(encoded.ids))]
    found = []
    for step in resolve(model.transcoders, edits, encoded):
        value = step.value
        if step.action is not Action.SET:
            layer, feature = step.other
            value *= float(dense[step.position, layer, feature])
        if abs(value - float(dense[step.position, step.layer, step.feature])) > LEAST:
            found.append(Edit(step.layer, step.position, step.feature, value))
    return found


def effects(
    model: ReplacementModel, cases: Sequence[Case], aims: Sequence[Aim], held: Held = FREE
) -> list[float]:
    """The effect of each case on its aim. Raises EngineError."""
    outcomes = intervene_many(
        model, cases, freeze=held.freeze, constrained=held.constrained, writes=held.writes
    )
    found = []
    for outcome, aim in zip(outcomes, aims, strict=True):
        change = outcome.logits[aim.position].double() - outcome.plain_logits[aim.position].double()
        found.append(float(change[aim.token] - change.mean()))
    return found


class Matched:
    """Draws random features that write as much as edits do."""

    def __init__(self, model: ReplacementModel) -> None:
        self._model = model
        self._lengths: dict[tuple[int, int], float] = {}

    def draw(self, edits: Sequence[Edit], dense: Tensor, random: Random) -> list[Edit]:
        """As many edits, of random features that are not edited. edits: from `absolute`."""
        taken = {(edit.layer, edit.position, edit.feature) for edit in edits}
        found = []
        for edit in edits:
            assert isinstance(edit.position, int)
            here = dense[edit.position, edit.layer]
            other = self._other(edit, len(here), taken, random)
            taken.add((edit.layer, edit.position, other))
            change = edit.value - float(here[edit.feature])
            size = self._length(edit.layer, edit.feature) / (self._length(edit.layer, other) or 1.0)
            found.append(Edit(edit.layer, edit.position, other, float(here[other]) + change * size))
        return found

    def _other(self, edit: Edit, n_features: int, taken: Set[object], random: Random) -> int:
        # Features that never learned to write cannot write as much; they are drawn only when all are so.
        for _ in range(TRIES):
            other = random.randrange(n_features)
            if (edit.layer, edit.position, other) not in taken and self._length(edit.layer, other) > 0:
                return other
        free = [n for n in range(n_features) if (edit.layer, edit.position, n) not in taken]
        if not free:
            raise InputError(
                f"All features of layer {edit.layer} are edited at position {edit.position}, so there is no "
                "random one to compare with",
                next_step="edit fewer",
            )
        return random.choice(free)

    def _length(self, layer: int, index: int) -> float:
        if (layer, index) not in self._lengths:
            rows = self._model.transcoders.decoder_rows(layer, torch.tensor([index]), torch.float32)
            self._lengths[layer, index] = float(rows.norm())
        return self._lengths[layer, index]


def p_value(effect: float, null: Sequence[float]) -> float:
    """The share of draws with as large an effect, either way, the effect itself counted."""
    return (1 + sum(abs(each) >= abs(effect) for each in null)) / (1 + len(null))
