"""Interventions: set features to other values in the real model, and see what follows.

An edit of feature f at position p adds (new value - present activation) · d_{f→l} to the MLP output of every
layer l that f writes to. What else may change is a choice:

    Freeze.NOTHING      everything reacts: attention, norms, MLPs
    Freeze.ATTENTION    attention patterns are held, norms and MLPs react
    Freeze.EVERYTHING   patterns, norm scales and MLP outputs are held: the model is linear, and setting a
                        source to 0 changes each target by minus the edge between them, exactly
    constrained         MLP outputs of a range of layers are held at their recorded values plus what edits
                        write there, so that features inside the range cannot react to each other

The present activation is the recorded one in layers that are held; elsewhere it is what the feature has after
all edits in lower layers, so that the feature ends with the value that was asked for.

Steps
1. Run the prompts plain, as one batch; read the activations that factors refer to.
2. Run one row for each case; layer by layer compute what its edits write.

Source: "Circuit Tracing" (Anthropic 2025), on validating graphs with perturbations ("constrained patching").
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ingest.engine.errors import ModelError, SettingError
from ingest.engine.intervention.edits import Action, Edit, Step, ablate, resolve, scale, swap
from ingest.engine.intervention.hold import Freeze, Hold, pad, run
from ingest.engine.replacement.model import Encoded, ReplacementModel
from ingest.engine.transcoders.transcoder import Transcoder

__all__ = [
    "Action",
    "Case",
    "Edit",
    "FeatureChanges",
    "Freeze",
    "Outcome",
    "ablate",
    "changes",
    "intervene",
    "intervene_many",
    "pre_activations",
    "scale",
    "swap",
]

MEMORY = 512 << 20
"""Bytes that a batch of rows may take, roughly."""

MOST_ROWS = 128
"""More rows at once make nothing faster."""


class Case(NamedTuple):
    """One prompt under one set of edits."""

    prompt: str | Sequence[int]
    edits: Sequence[Edit]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What the model did under the edits, and without them."""

    tokens: tuple[str, ...]
    """Of the prompt, the special first token included."""
    logits: Tensor
    """(n_positions, vocab_size)"""
    read: Tensor
    """(n_layers, n_positions, d_model) what the transcoders of each layer saw"""
    plain_logits: Tensor
    """`logits` without the edits"""
    plain_read: Tensor
    """`read` without the edits"""
    edited: Tensor
    """(n, 3) int64: layer, position and index of the edited features"""
    values: Tensor
    """(n,) their activations after the edits"""
    special_first_token: bool


class FeatureChanges(NamedTuple):
    """Features whose activation changed, sorted by layer, position, index."""

    where: Tensor
    """(n, 3) int64: layer, position, index"""
    before: Tensor
    """(n,)"""
    after: Tensor
    """(n,)"""


def intervene(
    model: ReplacementModel,
    prompt: str | Sequence[int],
    edits: Sequence[Edit],
    *,
    freeze: Freeze = Freeze.NOTHING,
    constrained: range = range(0),
    writes: range | None = None,
) -> Outcome:
    """Run the model on a prompt with some features set to other values; `intervene_many` for one case."""
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
) -> Iterator[Outcome]:
    """The outcome of each case, in order, many at a time.

    constrained: layers whose MLP outputs are held though others react. writes: the layers that edits write
    to, of those that their features do; None for all. batch_size: rows at once; None to choose by size.
    Neighbouring cases of one prompt, or of prompts of one length, cost least. Raises PromptError for a prompt
    that the model cannot take, SettingError for an edit outside the prompt or the transcoders, at the special
    first token, or given twice: before anything is computed.
    """
    encoded: dict[object, Encoded] = {}
    for prompt, _ in cases:
        key = prompt if isinstance(prompt, str) else tuple(prompt)
        if key not in encoded:
            encoded[key] = model.encode(prompt)
    jobs = []
    for prompt, edits in cases:
        found = encoded[prompt if isinstance(prompt, str) else tuple(prompt)]
        jobs.append(Job(found, resolve(model.transcoders, edits, found)))
    return outcomes(model, jobs, freeze=freeze, constrained=constrained, writes=writes, batch_size=batch_size)


class Job(NamedTuple):
    """A case whose prompt is tokenized and whose edits are checked."""

    encoded: Encoded
    steps: Sequence[Step]


def outcomes(
    model: ReplacementModel,
    jobs: Sequence[Job],
    *,
    freeze: Freeze,
    constrained: range,
    writes: range | None,
    batch_size: int | None = None,
) -> Iterator[Outcome]:
    """The outcome of each job, in order. Raises SettingError at once for layers that do not exist."""
    written = range(model.n_layers) if writes is None else writes
    for name, layers in (("constrained", constrained), ("writes", written)):
        if layers and not (min(layers) >= 0 and max(layers) < model.n_layers):
            raise SettingError(
                f"{name} has layers {min(layers)} to {max(layers)}",
                next_step=f"use 0 to {model.n_layers - 1}",
            )
    if batch_size is not None and batch_size < 1:
        raise SettingError(f"batch_size is {batch_size}", next_step="give a whole number from 1 up")

    def compute(part: list[Job]) -> Iterator[Outcome]:
        found: list[Outcome] = []
        try:
            found = _batch(model, part, freeze, constrained, written)
        except torch.OutOfMemoryError as error:
            if len(part) == 1:
                raise SettingError(
                    f"A case of {len(part[0].encoded.ids)} tokens is more than the memory of {model.device}",
                    next_step="shorten the prompt, or load the model on cpu or in 16 bits",
                ) from error
        if not found:
            # Not in the handler: the error keeps alive what did not fit.
            yield from compute(part[: len(part) // 2])
            yield from compute(part[len(part) // 2 :])
        yield from found

    return (outcome for part in _chunks(model, jobs, batch_size) for outcome in compute(part))


def changes(model: ReplacementModel, outcome: Outcome, *, least: float = 1e-4) -> FeatureChanges:
    """The features whose activation changed by at least `least`, edited ones included."""
    where, before, after = [], [], []
    for number, part in enumerate(model.transcoders.layers):
        old, new = part.activate(outcome.plain_read[number]), part.activate(outcome.read[number])
        mine = outcome.edited[:, 0] == number
        new[outcome.edited[mine, 1], outcome.edited[mine, 2]] = outcome.values[mine]
        if outcome.special_first_token:
            old[0] = new[0] = 0
        at = ((new - old).abs() >= least).nonzero()
        where.append(torch.nn.functional.pad(at, (1, 0), value=number))
        before.append(old[at[:, 0], at[:, 1]])
        after.append(new[at[:, 0], at[:, 1]])
    return FeatureChanges(torch.cat(where), torch.cat(before), torch.cat(after))


def pre_activations(model: ReplacementModel, read: Tensor, where: Tensor) -> Tensor:
    """(n,) what features see before their activation function.

    read: (n_layers, n_positions, d_model), e.g. `Outcome.read`; where: (n, 3) layer, position, index.
    """
    found = torch.empty(len(where), dtype=read.dtype, device=read.device)
    for layer, part in enumerate(model.transcoders.layers):
        mine = where[:, 0] == layer
        position, index = where[mine, 1], where[mine, 2]
        found[mine] = (model.transcoders.encoder_rows(layer, index) * read[layer, position]).sum(
            -1
        ) + part.encoder_bias[index]
    return found


def _chunks(model: ReplacementModel, jobs: Sequence[Job], batch_size: int | None) -> Iterator[list[Job]]:
    """Neighbouring jobs that fit into memory together."""
    token = 2 * model.vocab_size + 12 * model.n_layers * model.d_model
    heads = sum(part.attention.output.shape[0] for part in model.anatomy.layers)
    part: list[Job] = []
    longest = 0
    for job in jobs:
        longest = max(longest, len(job.encoded.ids))
        # Twice, for the plain prompts.
        size = 2 * (len(part) + 1) * longest * (token + heads * longest) * model.dtype.itemsize
        full = len(part) >= MOST_ROWS or size > MEMORY if batch_size is None else len(part) >= batch_size
        if part and full:
            yield part
            part, longest = [], len(job.encoded.ids)
        part.append(job)
    if part:
        yield part


def _batch(
    model: ReplacementModel, jobs: list[Job], freeze: Freeze, constrained: range, writes: range
) -> list[Outcome]:
    # 1
    prompts = {ids: number for number, ids in enumerate(dict.fromkeys(job.encoded.ids for job in jobs))}
    plain = run(model, pad(list(prompts), model.device))
    if not torch.isfinite(plain.logits).all():
        raise ModelError(
            f"The model's logits are not finite in {model.dtype}", next_step="load it with dtype float32"
        )
    rows = torch.tensor([prompts[job.encoded.ids] for job in jobs], device=model.device)
    hold = Hold(plain, rows, freeze, constrained)
    edits = _Edits(model, jobs, hold, writes)
    # 2
    after = run(model, pad([job.encoded.ids for job in jobs], model.device), hold=hold, added=edits.added)
    found = []
    for row, job in enumerate(jobs):
        cut, own = len(job.encoded.ids), int(rows[row])
        edited, values = edits.of(row)
        found.append(
            Outcome(
                tokens=job.encoded.tokens,
                logits=after.logits[row, :cut],
                read=torch.stack([read[row, :cut] for read in after.read]),
                plain_logits=plain.logits[own, :cut],
                plain_read=torch.stack([read[own, :cut] for read in plain.read]),
                edited=edited,
                values=values,
                special_first_token=job.encoded.special_first_token,
            )
        )
    return found


class _Edits:
    """The edits of a batch, and what they write as the pass goes up the layers."""

    def __init__(self, model: ReplacementModel, jobs: list[Job], hold: Hold, writes: range) -> None:
        self._model, self._hold, self._writes = model, hold, writes
        self._steps: dict[int, list[tuple[int, Step]]] = defaultdict(list)
        for row, job in enumerate(jobs):
            for step in job.steps:
                self._steps[step.layer].append((row, step))
        self._changes: dict[int, Tensor] = {}
        self._done: list[list[tuple[int, int, int]]] = [[] for _ in jobs]
        self._values: list[list[Tensor]] = [[] for _ in jobs]

    def added(self, layer: int, read: Tensor) -> Tensor | None:
        """`hold.Added`: the sum over edits of this layer and lower ones of what they write here."""
        if steps := self._steps.get(layer):
            self._write(layer, read, steps)
        return self._changes.pop(layer, None)

    def of(self, row: int) -> tuple[Tensor, Tensor]:
        """Where a row was edited (n, 3), and the new activations (n,)."""
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
    # Edits often share their place; each place is encoded once.
    places, back = torch.unique(read, dim=0, return_inverse=True)
    return part.activate(places)[back, feature]
