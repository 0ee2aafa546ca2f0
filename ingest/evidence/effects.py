"""What edits do to one next token of a prompt, beside random features of the same layers and positions.

Steps
1. The effect of edits is the change of the token's logit, less the mean change over the vocabulary: the logit
   that an attribution graph attributes.
2. The null hypothesis gives the change of each edited activation to a random feature of the same layer and
   position that writes as much (`ingest.engine.intervention.matched`).
3. p = (1 + draws with at least this effect) / (1 + draws): the share of draws that do as much, the edits
   themselves counted as one draw.

Source of 3: Phipson & Smyth (2010), permutation p-values should never be zero.
"""

from collections.abc import Callable, Sequence
from math import fsum
from statistics import fmean, pstdev
from typing import NamedTuple

import torch
from torch import Tensor

from ingest.engine.intervention.edits import Action, Edit, resolve
from ingest.engine.intervention.hold import Freeze
from ingest.engine.intervention.intervene import Case, intervene_many
from ingest.engine.replacement.model import Encoded, ReplacementModel
from ingest.evidence.interventions import engine_edits

LEAST = 1e-6
"""A change of an activation by less than this counts as no change."""


class HeldParts(NamedTuple):
    """What is held at its recorded value while edits act."""

    freeze: Freeze = Freeze.NOTHING
    constrained: range = range(0)
    """Layers whose MLP outputs are held, but for what the edits write."""
    writes: range | None = None
    """Layers that edits write to; None for all layers that their features write to."""


class Aim(NamedTuple):
    """The next token whose logit is measured."""

    token: int
    """Vocabulary id."""
    position: int = -1


class Comparison(NamedTuple):
    """The mean effect over prompts, beside the mean effects of random features."""

    effect: float
    null_mean: float
    """Mean over the draws."""
    null_sd: float
    """Standard deviation over the draws."""
    p: float
    """Above 0, at most 1 (step 3)."""


NOTHING_HELD = HeldParts()


def node_place(node: str) -> tuple[int, int, int] | None:
    """Layer, position and index of an MLP feature's node, from its id; None for other nodes."""
    kind, _, rest = node.rpartition("/")[2].partition(":")
    parts = rest.split(":")
    if kind != "feature" or len(parts) != 3:
        return None
    layer, position, index = map(int, parts)
    return layer, position, index


def activations(model: ReplacementModel, encoded: Encoded) -> Tensor:
    """(n_positions, n_layers, n_features) on the CPU: activations of all features on a prompt."""
    read = model.read(model.freeze_many([encoded.ids])[0])
    found = [part.activate(read[number]) for number, part in enumerate(model.transcoders.layers)]
    return torch.stack(found, 1).cpu()


def absolute(model: ReplacementModel, texts: Sequence[str], encoded: Encoded, dense: Tensor) -> list[Edit]:
    """The edits as new activations at one position each, without the edits that change nothing.

    texts: edits of features; dense: `activations` of the prompt. Raises InputError, SettingError.
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
    model: ReplacementModel,
    cases: Sequence[Case],
    aims: Sequence[Aim],
    held: HeldParts = NOTHING_HELD,
    *,
    step: Callable[[], None] = lambda: None,
) -> list[float]:
    """The effect of each case on its aim, in logits (step 1). step: called after each. Raises EngineError."""
    outcomes = intervene_many(
        model, cases, freeze=held.freeze, constrained=held.constrained, writes=held.writes
    )
    found = []
    for outcome, aim in zip(outcomes, aims, strict=True):
        change = outcome.logits[aim.position].double() - outcome.plain_logits[aim.position].double()
        found.append(float(change[aim.token] - change.mean()))
        step()
    return found


def p_value(effect: float, null: Sequence[float], direction: int = 0) -> float:
    """Share of draws with at least this effect, the effect itself counted as one draw (step 3).

    Above 0, at most 1. null: effect of each draw; direction: 1 for a predicted rise, -1 for a predicted fall,
    0 to compare the absolute effects.
    """
    if direction:
        as_far = sum(direction * each >= direction * effect for each in null)
    else:
        as_far = sum(abs(each) >= abs(effect) for each in null)
    return (1 + as_far) / (1 + len(null))


def compared(effects: Sequence[float], nulls: Sequence[Sequence[float]], direction: int = 0) -> Comparison:
    """The mean effect over prompts beside that of each draw.

    effects: (n_prompts,); nulls: (n_prompts, n_draws) the effects of random features, one draw for all
    prompts in each column; direction: as for `p_value`.
    """
    effect = fsum(effects) / len(effects)
    drawn = [fsum(draw) / len(draw) for draw in zip(*nulls, strict=True)]
    return Comparison(effect, fmean(drawn), pstdev(drawn), p_value(effect, drawn, direction))
