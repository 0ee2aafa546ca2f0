"""The linear walk: gradients of many targets go down the frozen model and are scored against each layer.

    A[t, f] = a_f Σ_l g_{t,l}[p_f] · d_{f→l}   A[t, e_{l,p}] = g_{t,l}[p] · e_{l,p}   A[t, x_p] = g_t[p] · x_p

`ingest.engine.attribution.attribute` explains the algorithm. This file contains its steps 2, 4 and 5:

2. `sources` computes what each layer wrote.
4. `starts` computes where the gradient of each target starts.
5. `effects` forms batches of targets, which may belong to several prompts, and `walk` walks one batch down.

Why the walk is fast
- Targets are sorted by layer. The targets under way are a slice, and the gradients of each layer join at the
  front of this slice.
- A gradient starts at one position, so its first attention layer costs only the products of that position.
  Targets of the lowest layer, often half of all targets, are scored against the tokens without ever becoming
  a gradient over positions.
- What a layer wrote is one block of slots, with the same number of slots at every position. A score is
  therefore one batched product that is added to a slice of the slots. Slots are put in the graph's order
  once, at the end.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from ingest.engine.adapters.anatomy import HeldAttention, Layer
from ingest.engine.replacement.memory import say_smaller
from ingest.engine.replacement.model import ReplacementModel
from ingest.engine.replacement.record import Frozen
from ingest.engine.transcoders.transcoder import Active

SMALLEST = 64
"""The smallest number of targets into which a large prompt is split, unless fewer may walk together."""
PRODUCT = 1 << 28
"""Multiplications of one product of a layer's width, from which on it is as fast as a larger one."""


class Sources(NamedTuple):
    """Everything that was written to the residual stream of one prompt.

    At each position, layer l has the slots from `first[l]` up to `first[l + 1]`, exclusive. They hold the
    layer's features, and its error in the last slot.
    """

    written: list[Tensor]
    """What each layer's MLP wrote: (n_positions, n_block_slots, d_model), where the block begins with slot
    `lowest[layer]`. Empty slots are zero."""
    lowest: list[int]
    """For each layer, the first slot of the lowest layer whose features write to it."""
    tokens: Tensor
    """(n_positions, d_model) embeddings of the tokens"""
    slot: Tensor
    """(n_inputs - n_positions,) int64: position * n_slots + slot of every feature, and then of every error,
    layer by layer"""
    n_slots: int
    """Number of slots per position."""


class Starts(NamedTuple):
    """Where the gradient of each target starts: features, then logits.

    The gradients of features are made for the targets of a batch (`starting_gradients`), because those of all
    features may take more memory than the rest of a prompt.
    """

    layer: Tensor
    """(n,) int64: layer whose MLP input the target reads; n_layers for logits"""
    position: Tensor
    """(n,) int64: position of the target"""
    logits: Tensor
    """(n_logits, d_model): gradients of the logits, at the residual stream before the last norm"""


def sources(model: ReplacementModel, frozen: Frozen, active: Active, *, n_left_out: int) -> Sources:
    """What each layer's MLP wrote (features and error), and the tokens.

    Input nodes are numbered [features of `active` | errors, layer by layer | tokens]. n_left_out: the
    errors of this many positions at the start are set to 0.
    """
    written = model.transcoders.writes(active)
    errors = []
    for layer, (features, vectors) in enumerate(written):
        error = frozen.mlp_output[layer] - model.base(layer, frozen)
        error = error.index_add(0, active.where[features, 1], vectors, alpha=-1)
        error[:n_left_out] = 0
        errors.append(error)
    return _laid_out(frozen, active, written, errors)


def _laid_out(
    frozen: Frozen, active: Active, written: list[tuple[Tensor, Tensor]], errors: list[Tensor]
) -> Sources:
    """Sources from what the features of each layer write (`TranscoderSet.writes`), and from the errors.

    written: is emptied, so that no layer is in memory twice. errors: of each layer, (n_positions, d_model).
    """
    n_layers, n_positions, n_active = len(errors), len(frozen.ids), len(active.activation)
    device = frozen.embedding.device
    # Features are sorted by layer and position. `rank` is the place of each feature among the features of its
    # layer and position; `most` is the number of slots that each layer needs, including its error.
    group = active.where[:, 0] * n_positions + active.where[:, 1]
    count = torch.bincount(group, minlength=n_layers * n_positions)
    rank = torch.arange(n_active, device=device) - (count.cumsum(0) - count)[group]
    most = count.view(n_layers, n_positions).amax(1) + 1
    first = torch.nn.functional.pad(most.cumsum(0), (1, 0))
    bounds = first.tolist()
    n_slots = bounds[-1]
    place = torch.arange(n_positions, device=device)
    slot = torch.cat(
        [
            active.where[:, 1] * n_slots + first[active.where[:, 0]] + rank,
            (place * n_slots + (first[1:, None] - 1)).flatten(),
        ]
    )
    blocks, lowest = [], []
    for layer, error in enumerate(errors):
        features, vectors = written.pop(0)
        at = active.where[features, 1]
        bottom = int(active.where[features[0], 0]) if len(features) else layer
        low, width = bounds[bottom], bounds[layer + 1] - bounds[bottom]
        block = error.new_zeros(n_positions, width, error.shape[1])
        block[:, -1] = error
        local = at * width + (slot[features] - at * n_slots - low)
        block.view(-1, error.shape[1]).index_copy_(0, local, vectors)
        blocks.append(block)
        lowest.append(low)
    return Sources(blocks, lowest, frozen.embedding, slot, n_slots)


def starts(
    model: ReplacementModel, frozen: Frozen, active: Active, directions: Tensor, positions: Tensor
) -> Starts:
    """The starts of the gradients of all features, in the order of `active`, and then of the logits.

    directions: (n_logits, d_model) at the last norm's output. positions: (n_logits,) int64.
    """
    return Starts(
        layer=torch.nn.functional.pad(active.where[:, 0], (0, len(positions)), value=model.n_layers),
        position=torch.cat([active.where[:, 1], positions]),
        logits=model.anatomy.final_norm.backward(directions, frozen.final_scale[positions]),
    )


class Traced(NamedTuple):
    """One prompt, ready for the walk."""

    frozen: Frozen
    """The recorded forward pass."""
    active: Active
    """All active features."""
    sources: Sources
    """What the active features, the errors and the tokens wrote."""
    starts: Starts
    """Where the gradients of all possible targets start."""

    @property
    def n_inputs(self) -> int:
        """Number of input nodes: active features, errors and tokens."""
        return len(self.sources.slot) + len(self.frozen.ids)

    def among(self, model: ReplacementModel, kept: Tensor) -> "Traced":
        """The same prompt with some of its features, as sources and as targets; kept: (n,) int64, ascending.

        Errors stay what they are with all features.
        """
        kept = kept.to(self.active.where.device)
        active = Active(self.active.where[kept], self.active.activation[kept])
        errors = [block[:, -1] for block in self.sources.written]
        logits = torch.arange(len(self.starts.logits), device=kept.device) + len(self.active.activation)
        targets = torch.cat([kept, logits])
        return Traced(
            self.frozen,
            active,
            _laid_out(self.frozen, active, model.transcoders.writes(active), errors),
            Starts(self.starts.layer[targets], self.starts.position[targets], self.starts.logits),
        )

    def starting_gradients(self, model: ReplacementModel, rows: Tensor, below: Sequence[int]) -> Tensor:
        """(n, d_model): the gradients of targets, at the residual stream that each target reads.

        rows: (n,) int64 rows of `starts`, sorted by layer. below: for each layer, the number of these targets
        that read a lower layer; the last entry is the number of features among them.
        """
        vectors = []
        for layer, (first, stop) in enumerate(pairwise(below)):
            if first < stop:
                _, position, feature = self.active.where[rows[first:stop]].unbind(1)
                encoder = model.transcoders.encoder_rows(layer, feature)
                vectors.append(model.read_backward(layer, encoder, self.frozen.mlp_scale[layer, position]))
        n_active = len(self.active.activation)
        return torch.cat([*vectors, self.starts.logits[rows[below[-1] :] - n_active]])


def effects(
    model: ReplacementModel, work: Iterable[tuple[Traced, Tensor]], batch_size: int
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Direct effects of all input nodes on chosen targets of each prompt, yielded as they are computed.

    Yields the number of a prompt, (m,) places among its chosen targets, ascending, and their rows
    (m, n_inputs) on the CPU. Each place occurs once.

    work: prompts, each with its chosen targets, (n,) int64 rows of its `starts`, on the CPU. A prompt is
    taken from the iterable only when it is walked. batch_size: the number of targets that walk together.
    Small prompts share a batch. The targets of a large prompt are split into batches of similar positions
    (`together`), because each batch can be cut after its last position. When the device's memory does not
    hold a batch, this batch and the following ones are halved.
    """
    limit = batch_size
    for batch in _batches(model, work, batch_size):
        waiting = [batch]
        while waiting:
            parts = waiting.pop()
            size = sum(len(part.places) for part in parts)
            if size > limit:
                waiting += _halves(parts)[::-1]
                continue
            try:
                rows = walk(
                    model,
                    [part.traced for part in parts],
                    [part.chosen[part.places].to(model.device) for part in parts],
                )
            except torch.OutOfMemoryError:
                if size == 1:
                    raise
                limit = math.ceil(size / 2)
                say_smaller(model.device, size, limit)
                waiting.append(parts)
                continue
            for part, effect in zip(parts, rows, strict=True):
                yield part.number, part.places, effect.cpu()


class _Part(NamedTuple):
    """The targets of one prompt in one batch."""

    number: int
    """Number of the prompt."""
    traced: Traced
    """The prompt."""
    chosen: Tensor
    """All chosen targets of the prompt."""
    places: Tensor
    """(n,) int64: places in `chosen` of the targets in this batch"""


def together(model: ReplacementModel, traced: Traced, batch_size: int) -> int:
    """The largest number of targets of one prompt that share a batch with targets at other positions.

    On a CPU, a batch with fewer targets takes as long for each, once its products are large, and can be cut
    more closely.
    """
    if model.device.type != "cpu":
        return batch_size
    return min(batch_size, max(SMALLEST, PRODUCT // (len(traced.frozen.ids) * model.d_model**2)))


def _batches(
    model: ReplacementModel, work: Iterable[tuple[Traced, Tensor]], batch_size: int
) -> Iterator[list[_Part]]:
    """Batches of targets. A batch is yielded once the next prompt is known not to fit into it."""
    waiting: list[_Part] = []
    room = batch_size
    for number, (traced, chosen) in enumerate(work):
        if not len(chosen):
            continue
        most = together(model, traced, batch_size)
        if waiting and room < len(chosen) <= most:
            yield waiting
            waiting, room = [], batch_size
        if len(chosen) <= min(room, most):
            waiting.append(_Part(number, traced, chosen, torch.arange(len(chosen))))
            room -= len(chosen)
            continue
        order = torch.argsort(traced.starts.position.cpu()[chosen], stable=True)
        for places in order.split(most):
            # Ascending places are in the order of layers, in which the walk needs the targets anyway.
            yield [_Part(number, traced, chosen, places.sort().values)]
    if waiting:
        yield waiting


def _halves(batch: list[_Part]) -> list[list[_Part]]:
    if len(batch) > 1:
        return [batch[: len(batch) // 2], batch[len(batch) // 2 :]]
    (part,) = batch
    halves = part.places.split(math.ceil(len(part.places) / 2))
    return [[part._replace(places=places)] for places in halves]


class Lane:
    """The targets of one prompt in one batch, sorted by layer, the lowest first.

    The targets under way, whose gradients already walk down, are the last `n`.
    """

    def __init__(self, model: ReplacementModel, traced: Traced, chosen: Tensor, cut: int) -> None:
        self.traced = traced
        self.sources = traced.sources
        self.cut = min(cut, len(traced.frozen.ids))
        layer, self.order = torch.sort(traced.starts.layer[chosen], stable=True)
        rows = chosen[self.order]
        self.position = traced.starts.position[rows]
        layers = torch.arange(model.n_layers + 1, device=layer.device)
        self.below: list[int] = torch.searchsorted(layer, layers).tolist()
        """[l]: number of targets that read a layer below l. All others are under way once layer l joined."""
        self.gradient = traced.starting_gradients(model, rows, self.below)
        self.size = len(rows)
        self.n = 0
        self.effects = self.gradient.new_zeros(self.cut, self.sources.n_slots, self.size)
        self.on_tokens = self.gradient.new_zeros(self.cut, self.size)

    def score(self, gradient: Tensor, number: int) -> None:
        """Score the last n targets against what layer `number` wrote; gradient: (≥ cut, n, d_model)."""
        block, low = self.sources.written[number], self.sources.lowest[number]
        products = torch.bmm(block[: self.cut], gradient[: self.cut].transpose(1, 2))
        self.effects[:, low : low + block.shape[1], self.size - gradient.shape[1] :] += products

    def score_logits(self, number: int) -> None:
        """Score the logits, at their own positions, against what layer `number` wrote.

        `number` is the last layer, because logits read the last layer's output.
        """
        n = self.size - self.below[-1]
        if n:
            block, low = self.sources.written[number], self.sources.lowest[number]
            mine = self.position[-n:]
            products = torch.bmm(block[mine], self.gradient[-n:, :, None])[..., 0]
            self.effects[mine, low : low + block.shape[1], torch.arange(self.size - n, self.size)] += products

    def held(self, number: int, cut: int) -> HeldAttention:
        """The frozen attention of a layer for `cut` positions; zero after the end of the prompt."""
        frozen, extra = self.traced.frozen, cut - self.cut
        pattern = frozen.pattern[number, :, : self.cut, : self.cut]
        scale = frozen.attention_scale[number, : self.cut]
        if extra:
            pattern = torch.nn.functional.pad(pattern, (0, extra, 0, extra))
            scale = torch.nn.functional.pad(scale, (0, 0, 0, extra))
        return HeldAttention(pattern, scale)

    def rows(self) -> Tensor:
        """(size, n_inputs) effects: targets in the order in which they were chosen, inputs in their own."""
        n_kept = self.cut * self.sources.n_slots
        flat = self.effects.view(n_kept, self.size)
        slot = self.sources.slot
        if self.cut < len(self.traced.frozen.ids):
            # All inputs after the last target share one row of zeros.
            flat = torch.nn.functional.pad(flat, (0, 0, 0, 1))
            slot = slot.clamp(max=n_kept)
        found = self.gradient.new_zeros(self.size, self.traced.n_inputs)
        n = len(slot)
        inputs = torch.index_select(flat, 0, slot)
        if bool((self.order[1:] > self.order[:-1]).all()):
            found[:, :n] = inputs.T
            found[:, n : n + self.cut] = self.on_tokens.T
        else:
            found[self.order, :n] = inputs.T
            found[self.order, n : n + self.cut] = self.on_tokens.T
        return found


def walk(model: ReplacementModel, traced: Sequence[Traced], chosen: Sequence[Tensor]) -> list[Tensor]:
    """Direct effects of all input nodes on the targets of one batch, (len(chosen[b]), n_inputs) per prompt b.

    chosen: the targets of each prompt, (n,) int64 rows of its `starts`, n ≥ 1.
    """
    cut = max(int(one.starts.position[rows].max()) for one, rows in zip(traced, chosen, strict=True)) + 1
    lanes = [Lane(model, one, rows, cut) for one, rows in zip(traced, chosen, strict=True)]
    gradient = descend(model, lanes, cut, 1)
    _pass_mlp(model, 0, lanes, gradient)
    for lane, rows in _places(lanes):
        _meet_tokens(model.anatomy.layers[0], lane, gradient[:, rows])
    return [lane.rows() for lane in lanes]


def descend(model: ReplacementModel, lanes: list[Lane], cut: int, bottom: int) -> Tensor:
    """(cut, n, d_model): gradients before layer `bottom`, of all targets that read at this layer or above.

    The lanes keep the effects of what was written at `bottom` and above.
    """
    gradient = lanes[0].gradient.new_zeros(cut, 0, model.d_model)
    for number in range(model.n_layers - 1, bottom - 1, -1):
        part = model.anatomy.layers[number]
        under_way = list(_places(lanes))
        _pass_mlp(model, number, lanes, gradient)
        fresh = _start(part, number, lanes, cut)
        if gradient.shape[1]:
            held = [(rows, lane.held(number, cut)) for lane, rows in under_way if rows.stop > rows.start]
            gradient += part.attention_backward(gradient, held)
        pieces = []
        for (_, rows), new in zip(under_way, fresh, strict=True):
            pieces += [new, gradient[:, rows]]
        gradient = torch.cat(pieces, dim=1)
    return gradient


def _pass_mlp(model: ReplacementModel, number: int, lanes: list[Lane], gradient: Tensor) -> None:
    """Score all targets under way against what a layer's MLP wrote, and take them through its skip path."""
    for lane, rows in _places(lanes):
        if rows.stop > rows.start:
            lane.score(gradient[:, rows], number)
        if number == model.n_layers - 1:
            lane.score_logits(number)
        _skip(model, number, lane, gradient[:, rows])


def _places(lanes: list[Lane]) -> Iterator[tuple[Lane, slice]]:
    """Each prompt with the slice of the gradient that holds its targets under way."""
    stop = 0
    for lane in lanes:
        start, stop = stop, stop + lane.n
        yield lane, slice(start, stop)


def _skip(model: ReplacementModel, number: int, lane: Lane, gradient: Tensor) -> None:
    """Add, in place, the path through the skip connection of a layer's transcoder.

    gradient: (≥ cut, n, d_model) gradients above the layer's MLP.
    """
    if model.transcoders.layers[number].skip is None:
        return
    scale, gradient = lane.traced.frozen.mlp_scale[number], gradient[: lane.cut]
    gradient += model.skip_backward(number, gradient, scale[: lane.cut, None])
    n_logits = lane.size - lane.below[-1]
    if number == model.n_layers - 1 and n_logits:
        above, position = lane.gradient[-n_logits:], lane.position[-n_logits:]
        above += model.skip_backward(number, above, scale[position])


def _start(part: Layer, number: int, lanes: list[Lane], cut: int) -> list[Tensor]:
    """The gradients (cut, n, d_model), below a layer's attention, of each prompt's joining targets."""
    gradients, positions, held, sizes = [], [], [], []
    at = 0
    for lane in lanes:
        first = lane.below[number]
        joining = slice(first, lane.size - lane.n)
        size = joining.stop - first
        if size:
            gradients.append(lane.gradient[joining])
            positions.append(lane.position[joining])
            held.append((slice(at, at + size), lane.held(number, cut)))
        sizes.append(size)
        at += size
        lane.n += size
    if not at:
        return [lane.gradient.new_zeros(cut, 0, lane.gradient.shape[1]) for lane in lanes]
    gradient, position = torch.cat(gradients), torch.cat(positions)
    result = part.attention_backward_from(gradient, position, held)
    if part.parallel:
        # In a parallel layer, features do not read what this attention writes. Logits, the last targets of
        # their lane, do.
        for lane, new in zip(lanes, result.split(sizes, dim=1), strict=True):
            new[:, : max(0, lane.below[-1] - (lane.size - lane.n))] = 0
    result[position, torch.arange(at, device=position.device)] += gradient
    return list(result.split(sizes, dim=1))


def _meet_tokens(part: Layer, lane: Lane, gradient: Tensor) -> None:
    """Score the gradients above the lowest attention layer against the tokens: the last step of the walk.

    The effects through attention are computed from the few values of the tokens. gradient: (cut, n, d_model)
    of the targets under way. The other targets join here and have one position each.
    """
    held, tokens = lane.held(0, lane.cut), lane.sources.tokens[: lane.cut]
    n_joining = lane.size - lane.n
    if lane.n:
        gradient = gradient[: lane.cut]
        lane.on_tokens[:, n_joining:] = part.attention_effects(gradient, held, tokens)
        lane.on_tokens[:, n_joining:] += torch.bmm(gradient, tokens[:, :, None])[..., 0]
    if n_joining:
        start, position = lane.gradient[:n_joining], lane.position[:n_joining]
        lane.on_tokens[:, :n_joining] = part.attention_effects_from(start, position, held, tokens)
        if part.parallel:
            lane.on_tokens[:, : min(n_joining, lane.below[-1])] = 0
        own = (start * tokens[position]).sum(1)
        lane.on_tokens[position, torch.arange(n_joining, device=position.device)] += own
