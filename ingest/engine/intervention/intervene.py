"""Interventions: set features to other values in the real model and observe the effects.

An edit of feature f at position p adds (new value - present activation) · d_{f→l} to the MLP output of every
layer l that f writes to. An argument decides what else may change:

    Freeze.NOTHING      everything reacts: attention, norms, MLPs
    Freeze.ATTENTION    attention patterns are held; norms and MLPs react
    Freeze.EVERYTHING   patterns, norm scales and MLP outputs are held. The model is then linear, and setting
                        a source to 0 changes each target by exactly minus the edge between them.
    constrained         MLP outputs of a range of layers are held at their recorded values plus what edits
                        write there, so that features inside the range cannot react to each other

In layers that are held, the present activation is the recorded one. In other layers it is the activation
after all edits in lower layers, so that the feature ends with the requested value.

Steps
1. Run the unedited prompts as one batch. Read the activations that factors refer to.
2. Run one row for each case. Compute, layer by layer, what its edits write.

Source: "Circuit Tracing" (Anthropic 2025), on validating graphs with perturbations ("constrained patching").
"""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ingest.engine.errors import SettingError
from ingest.engine.intervention.edits import Action, Edit, Step, ablate, resolve, scale, swap
from ingest.engine.intervention.hold import Freeze, Hold, run
from ingest.engine.replacement.memory import in_halves
from ingest.engine.replacement.model import Encoded, ReplacementModel
from ingest.engine.replacement.record import padded
from ingest.engine.transcoders.transcoder import Transcoder

__all__ = [
    "Action",
    "Case",
    "Edit",
    "FeatureChanges",
    "Freeze",
    "InterventionOutcome",
    "ablate",
    "changes",
    "intervene",
    "intervene_many",
    "pre_activations",
    "scale",
    "swap",
]

MEMORY = 512 << 20
"""Approximate number of bytes that a batch of rows may take."""

MOST_ROWS = 128
"""The largest number of rows in a batch. More rows are not faster."""


class Case(NamedTuple):
    """One prompt under one set of edits."""

    prompt: str | Sequence[int] | Encoded
    """Text, vocabulary ids, or a prompt that is encoded already."""
    edits: Sequence[Edit]
    """Edits that apply together."""


@dataclass(frozen=True, eq=False)
class InterventionOutcome:
    """The model's logits and transcoder inputs with and without the edits."""

    tokens: tuple[str, ...]
    """Decoded tokens of the prompt, including the special first token."""
    logits: Tensor
    """(n_positions, vocab_size) logits with the edits"""
    read: Tensor
    """(n_layers, n_positions, d_model) what the transcoders of each layer read, with the edits"""
    plain_logits: Tensor
    """`logits` without the edits"""
    plain_read: Tensor
    """`read` without the edits"""
    edited: Tensor
    """(n, 3) int64: layer, position and index of the edited features"""
    values: Tensor
    """(n,) activations of the edited features after the edits"""
    n_left_out: int
    """Number of positions at the start whose features are left out."""


class FeatureChanges(NamedTuple):
    """Features whose activation changed, sorted by layer, position, index."""

    where: Tensor
    """(n, 3) int64: layer, position, index"""
    before: Tensor
    """(n,) activations without the edits"""
    after: Tensor
    """(n,) activations with the edits"""


def intervene(
    model: ReplacementModel,
    prompt: str | Sequence[int] | Encoded,
    edits: Sequence[Edit],
    *,
    freeze: Freeze = Freeze.NOTHING,
    constrained: range = range(0),
    writes: range | None = None,
) -> InterventionOutcome:
    """Run the model on one prompt with some features set to other values; see `intervene_many`."""
    cases = [Case(prompt, edits)]
    return next(intervene_many(model, cases, freeze=freeze, constrained=constrained, writes=writes))


def intervene_many(
    model: ReplacementModel,
    cases: Sequence[Case],
    *,
    freeze: Freeze = Freeze.NOTHING,
    constrained: range = range(0),
    writes: range | None = None,
    batch_size: int | None = None,
) -> Iterator[InterventionOutcome]:
    """The outcome of each case, in the given order, computed in batches.

    freeze: what is held at its recorded value. constrained: layers whose MLP outputs are held while other
    layers react. writes: the layers to which edits write, among those that their features write to; None for
    all. batch_size: rows per batch; None to choose by size. Neighbouring cases of the same prompt, or of
    prompts of the same length, are fastest.

    Errors are raised before anything is computed: PromptError for a prompt that the model cannot take,
    SettingError for an edit that is outside the prompt or the transcoders, at the special first token, or
    given twice.
    """
    encoded: dict[object, Encoded] = {}
    for prompt, _ in cases:
        key = _key(prompt)
        if key not in encoded:
            encoded[key] = model.encode(prompt)
    resolved = []
    for prompt, edits in cases:
        found = encoded[_key(prompt)]
        resolved.append(ResolvedCase(found, resolve(model.transcoders, edits, found)))
    return outcomes(
        model, resolved, freeze=freeze, constrained=constrained, writes=writes, batch_size=batch_size
    )


def _key(prompt: str | Sequence[int] | Encoded) -> Hashable:
    return prompt if isinstance(prompt, str | Encoded) else tuple(prompt)


class ResolvedCase(NamedTuple):
    """A case whose prompt is tokenized and whose edits are checked."""

    encoded: Encoded
    """The tokenized prompt."""
    steps: Sequence[Step]
    """Its edits at each position."""


def outcomes(
    model: ReplacementModel,
    cases: Sequence[ResolvedCase],
    *,
    freeze: Freeze,
    constrained: range,
    writes: range | None,
    batch_size: int | None = None,
) -> Iterator[InterventionOutcome]:
    """The outcome of each case, in the given order; the other arguments are those of `intervene_many`.

    Raises SettingError, before anything is computed, for layers that do not exist or a batch size below 1.
    """
    written = range(model.n_layers) if writes is None else writes
    for name, layers in (("constrained", constrained), ("writes", written)):
        if layers and not (min(layers) >= 0 and max(layers) < model.n_layers):
            raise SettingError(
                f"{name} has layers {min(layers)} to {max(layers)}",
                next_step=f"use 0 to {model.n_layers - 1}",
            )
    if batch_size is not None and batch_size < 1:
        raise SettingError(f"batch_size is {batch_size}", next_step="give a whole number from 1 up")

    def compute(part: Sequence[ResolvedCase]) -> Iterator[InterventionOutcome]:
        yield from in_halves(
            part,
            lambda cases: _batch(model, list(cases), freeze, constrained, written),
            model.device,
            lambda case: model.too_long(len(case.encoded.ids)),
        )

    return (outcome for part in _chunks(model, cases, batch_size) for outcome in compute(part))


def changes(model: ReplacementModel, outcome: InterventionOutcome, *, least: float = 1e-4) -> FeatureChanges:
    """The features whose activation changed by at least `least`, including the edited features."""
    where, before, after = [], [], []
    for number, part in enumerate(model.transcoders.layers):
        old, new = part.activate(outcome.plain_read[number]), part.activate(outcome.read[number])
        mine = outcome.edited[:, 0] == number
        new[outcome.edited[mine, 1], outcome.edited[mine, 2]] = outcome.values[mine]
        old[: outcome.n_left_out] = new[: outcome.n_left_out] = 0
        at = ((new - old).abs() >= least).nonzero()
        where.append(torch.nn.functional.pad(at, (1, 0), value=number))
        before.append(old[at[:, 0], at[:, 1]])
        after.append(new[at[:, 0], at[:, 1]])
    return FeatureChanges(torch.cat(where), torch.cat(before), torch.cat(after))


def pre_activations(model: ReplacementModel, read: Tensor, where: Tensor) -> Tensor:
    """(n,) pre-activations of features: their values before the activation function.

    read: (n_layers, n_positions, d_model), e.g. `InterventionOutcome.read`. where: (n, 3) layer, position
    and index of the features.
    """
    found = torch.empty(len(where), dtype=read.dtype, device=read.device)
    for layer, part in enumerate(model.transcoders.layers):
        mine = where[:, 0] == layer
        position, index = where[mine, 1], where[mine, 2]
        found[mine] = (model.transcoders.encoder_rows(layer, index) * read[layer, position]).sum(
            -1
        ) + part.encoder_bias[index]
    return found


def _chunks(
    model: ReplacementModel, cases: Sequence[ResolvedCase], batch_size: int | None
) -> Iterator[list[ResolvedCase]]:
    """Neighbouring cases that fit into memory together."""
    token = 2 * model.vocab_size + 12 * model.n_layers * model.d_model
    heads = sum(part.attention.output.shape[0] for part in model.anatomy.layers)
    part: list[ResolvedCase] = []
    longest = 0
    for case in cases:
        longest = max(longest, len(case.encoded.ids))
        # Counted twice, because the unedited prompts run too.
        size = 2 * (len(part) + 1) * longest * (token + heads * longest) * model.dtype.itemsize
        full = len(part) >= MOST_ROWS or size > MEMORY if batch_size is None else len(part) >= batch_size
        if part and full:
            yield part
            part, longest = [], len(case.encoded.ids)
        part.append(case)
    if part:
        yield part


def _batch(
    model: ReplacementModel, cases: list[ResolvedCase], freeze: Freeze, constrained: range, writes: range
) -> list[InterventionOutcome]:
    """The outcomes of one batch: steps 1 and 2."""
    # 1
    prompts = {ids: number for number, ids in enumerate(dict.fromkeys(case.encoded.ids for case in cases))}
    plain = run(model, padded(list(prompts), model.device))
    if not torch.isfinite(plain.logits).all():
        raise model.not_finite(list(prompts))
    rows = torch.tensor([prompts[case.encoded.ids] for case in cases], device=model.device)
    hold = Hold(plain, rows, freeze, constrained)
    edits = _Edits(model, cases, hold, writes)
    # 2
    after = run(
        model, padded([case.encoded.ids for case in cases], model.device), hold=hold, added=edits.added
    )
    found = []
    for row, case in enumerate(cases):
        cut, own = len(case.encoded.ids), int(rows[row])
        edited, values = edits.of(row)
        found.append(
            InterventionOutcome(
                tokens=case.encoded.tokens,
                logits=after.logits[row, :cut],
                read=torch.stack([read[row, :cut] for read in after.read]),
                plain_logits=plain.logits[own, :cut],
                plain_read=torch.stack([read[own, :cut] for read in plain.read]),
                edited=edited,
                values=values,
                n_left_out=case.encoded.n_left_out,
            )
        )
    return found


class _Edits:
    """The edits of a batch. It computes what they write while the forward pass goes up the layers."""

    def __init__(self, model: ReplacementModel, cases: list[ResolvedCase], hold: Hold, writes: range) -> None:
        self._model, self._hold, self._writes = model, hold, writes
        self._steps: dict[int, list[tuple[int, Step]]] = defaultdict(list)
        for row, case in enumerate(cases):
            for step in case.steps:
                self._steps[step.layer].append((row, step))
        self._changes: dict[int, Tensor] = {}
        self._done: list[list[tuple[int, int, int]]] = [[] for _ in cases]
        self._values: list[list[Tensor]] = [[] for _ in cases]

    def added(self, layer: int, read: Tensor) -> Tensor | None:
        """What the edits of this layer and of lower layers write to this layer; see `hold.Added`."""
        if steps := self._steps.get(layer):
            self._write(layer, read, steps)
        return self._changes.pop(layer, None)

    def of(self, row: int) -> tuple[Tensor, Tensor]:
        """The edited features of a row, (n, 3) layer, position and index, and their new activations (n,)."""
        device, values = self._model.device, self._values[row]
        where = torch.tensor(self._done[row], dtype=torch.int64, device=device).view(-1, 3)
        summed = torch.promote_types(self._model.dtype, torch.float32)
        return where, torch.stack(values) if values else torch.zeros(0, dtype=summed, device=device)

    def _write(self, layer: int, read: Tensor, steps: list[tuple[int, Step]]) -> None:
        model, hold = self._model, self._hold
        row = torch.tensor([row for row, _ in steps], device=model.device)
        position = torch.tensor([step.position for _, step in steps], device=model.device)
        feature = torch.tensor([step.feature for _, step in steps], device=model.device)
        new = self._new_values(steps, row, position, read.dtype)
        source, own = (hold.plain.read[layer], hold.rows[row]) if hold.clamps(layer) else (read, row)
        change = new - _activations(model.transcoders.layers[layer], source[own, position], feature)
        decoder = model.transcoders.decoder_rows(layer, feature, read.dtype)
        for reached in range(layer, layer + decoder.shape[1]):
            if reached in self._writes:
                here = self._changes.setdefault(reached, torch.zeros_like(read))
                here.index_put_(
                    (row, position), change[:, None] * decoder[:, reached - layer], accumulate=True
                )
        for (number, step), value in zip(steps, new, strict=True):
            self._done[number].append((layer, step.position, step.feature))
            self._values[number].append(value)

    def _new_values(
        self, steps: list[tuple[int, Step]], row: Tensor, position: Tensor, dtype: torch.dtype
    ) -> Tensor:
        values = torch.tensor([step.value for _, step in steps], dtype=dtype, device=self._model.device)
        factors = defaultdict(list)
        for place, (_, step) in enumerate(steps):
            if step.action is not Action.SET:
                factors[step.other[0]].append(place)
        for layer, places in factors.items():
            at = torch.tensor(places, device=self._model.device)
            feature = torch.tensor([steps[place][1].other[1] for place in places], device=self._model.device)
            read = self._hold.plain.read[layer][self._hold.rows[row[at]], position[at]]
            values[at] *= _activations(self._model.transcoders.layers[layer], read, feature)
        return values


def _activations(part: Transcoder, read: Tensor, feature: Tensor) -> Tensor:
    """(n,) activation of one feature for each row of `read` (n, d_model)."""
    # Several edits often share a position, so each distinct row is encoded once.
    places, back = torch.unique(read, dim=0, return_inverse=True)
    return part.activate(places)[back, feature]
