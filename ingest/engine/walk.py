"""The linear walk: gradients of many targets of many prompts go down the frozen model together and meet what
each layer wrote.

    A[t, f] = a_f Σ_l g_{t,l}[p_f] · d_{f→l}   A[t, e_{l,p}] = g_{t,l}[p] · e_{l,p}   A[t, x_p] = g_t[p] · x_p

`ingest.engine.attribute` explains the steps; this file is steps 2, 4 and 5 of them.

A gradient starts at one position. Going through its first attention layer costs one position's products only
(`Attention.backward_from`), and features of the lowest layers need no other step: most of a graph's rows.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ingest.engine.adapters.anatomy import Held, Layer
from ingest.engine.model import ReplacementModel
from ingest.engine.record import Frozen
from ingest.engine.transcoder import Active


class Sources(NamedTuple):
    """Everything written to the residual stream at one depth, padded to as many sources at each position."""

    vectors: Tensor
    """(n_positions, m, d_model); zero where there are fewer than m"""
    columns: Tensor
    """(n_positions, m) int64: the input node that each belongs to; `n_inputs` for padding"""


class Targets(NamedTuple):
    """Where the gradient of each target starts: at the residual stream that it reads."""

    layer: Tensor
    """(n,) int64: layer whose MLP it reads; n_layers for logits"""
    position: Tensor
    """(n,) int64"""
    gradient: Tensor
    """(n, d_model)"""


def sources(model: ReplacementModel, frozen: Frozen, active: Active, *, skip_first: bool) -> list[Sources]:
    """What each layer's MLP wrote (features and error), bottom layer first, and last the tokens.

    Input nodes are numbered [features of `active` | errors, layer by layer | tokens]. skip_first: the error
    of position 0 is left out.
    """
    n_positions, n_active = len(frozen.ids), len(active.activation)
    n_inputs = n_active + (model.n_layers + 1) * n_positions
    place = torch.arange(n_positions, device=frozen.embedding.device)
    found = []
    for layer, (features, written) in enumerate(model.transcoders.writes(active)):
        at = active.where[features, 1]
        error = frozen.mlp_output[layer] - model.transcoders.layers[layer].decoder_bias
        error = error.index_add(0, at, written, alpha=-1)
        if skip_first:
            error[0] = 0
        found.append(
            _pad(
                torch.cat([at, place]),
                torch.cat([features, place + (n_active + layer * n_positions)]),
                torch.cat([written, error]),
                n_positions,
                n_inputs,
            )
        )
    tokens = place + (n_active + model.n_layers * n_positions)
    return [*found, Sources(frozen.embedding[:, None], tokens[:, None])]


def _pad(position: Tensor, column: Tensor, vector: Tensor, n_positions: int, spare: int) -> Sources:
    """Lay rows out as (position, number within the position)."""
    count = torch.bincount(position, minlength=n_positions)
    order = torch.argsort(position, stable=True)
    first = count.cumsum(0) - count
    slot = torch.empty_like(position)
    slot[order] = torch.arange(len(position), device=position.device) - first[position[order]]
    width = int(count.max())
    vectors = vector.new_zeros(n_positions, width, vector.shape[1])
    columns = column.new_full((n_positions, width), spare)
    vectors[position, slot] = vector
    columns[position, slot] = column
    return Sources(vectors, columns)


def targets(
    model: ReplacementModel, frozen: Frozen, active: Active, logit_vectors: Tensor, target_position: int
) -> Targets:
    """Starts of the gradients of all features, in the order of `active`, and then of the logits.

    logit_vectors: (n_logits, d_model) directions at the last norm's output.
    """
    vectors = []
    for layer in range(model.n_layers):
        mine = active.rows(layer)
        encoder = model.transcoders.layers[layer].encoder[active.where[mine, 2]]
        scale = frozen.mlp_scale[layer, active.where[mine, 1]]
        vectors.append(model.read_backward(layer, encoder, scale))
    final = model.anatomy.final_norm.backward(logit_vectors, frozen.final_scale[target_position])
    n_logits = len(logit_vectors)
    return Targets(
        layer=torch.nn.functional.pad(active.where[:, 0], (0, n_logits), value=model.n_layers),
        position=torch.nn.functional.pad(active.where[:, 1], (0, n_logits), value=target_position),
        gradient=torch.cat([*vectors, final]),
    )


class Traced(NamedTuple):
    """One prompt, ready for the walk."""

    frozen: Frozen
    active: Active
    written: list[Sources]
    """Of each layer's MLP, bottom first, then the tokens."""
    starts: Targets

    @property
    def n_inputs(self) -> int:
        return int(self.written[-1].columns[-1, -1]) + 1


def effects(
    model: ReplacementModel, traced: Sequence[Traced], chosen: Sequence[Tensor], batch_size: int
) -> list[Tensor]:
    """Direct effects (len(chosen[b]), n_inputs) of all input nodes on some targets of each prompt b, float32
    on the CPU.

    chosen: of each prompt (n,) int64 rows of its `starts`, on the CPU. Targets of all prompts walk together,
    `batch_size` at a time, in batches of like positions, so that each batch can be cut after its last one.
    """
    found = [torch.empty(len(rows), one.n_inputs) for one, rows in zip(traced, chosen, strict=True)]
    prompt = torch.repeat_interleave(
        torch.arange(len(chosen)), torch.tensor([len(rows) for rows in chosen], dtype=torch.int64)
    )
    place = torch.cat([torch.arange(len(rows)) for rows in chosen])
    position = torch.cat([one.starts.position.cpu()[rows] for one, rows in zip(traced, chosen, strict=True)])
    for part in torch.argsort(position, stable=True).split(batch_size):
        mine = [place[part[prompt[part] == number]] for number in range(len(traced))]
        here = [number for number, places in enumerate(mine) if len(places)]
        rows = walk(
            model,
            [traced[number] for number in here],
            [chosen[number][mine[number]].to(model.device) for number in here],
        )
        for number, effect in zip(here, rows, strict=True):
            found[number][mine[number]] = effect.float().cpu()
    return found


class _Lane:
    """The targets of one prompt in one batch, the deepest first: those under way are the first `n`."""

    def __init__(self, traced: Traced, chosen: Tensor, n_layers: int, cut: int) -> None:
        self.traced = traced
        self.cut = min(cut, len(traced.frozen.ids))
        self.order = torch.argsort(traced.starts.layer[chosen], descending=True, stable=True)
        rows = chosen[self.order]
        self.position = traced.starts.position[rows]
        self.gradient = traced.starts.gradient[rows]
        falling = torch.arange(-n_layers, 1, device=rows.device)
        self.joined = torch.searchsorted(-traced.starts.layer[rows], falling, right=True).tolist()
        """[k]: how many are under way once layer n_layers - k has joined."""
        self.n = 0
        self.effects = self.gradient.new_zeros(traced.n_inputs + 1, len(rows))

    def score(self, gradient: Tensor, here: Sources) -> None:
        """Meet what was written; gradient: (≥ cut, n, d_model)."""
        products = torch.bmm(here.vectors[: self.cut], gradient[: self.cut].transpose(1, 2))
        columns = here.columns[: self.cut].flatten()
        self.effects[:, : gradient.shape[1]].index_add_(0, columns, products.flatten(0, 1))

    def held(self, number: int, cut: int) -> Held:
        """What the attention of a layer held, laid out for `cut` positions; zero after the prompt's end."""
        frozen, extra = self.traced.frozen, cut - self.cut
        pattern = frozen.pattern[number, :, : self.cut, : self.cut]
        scale = frozen.attention_scale[number, : self.cut]
        if extra:
            pattern = torch.nn.functional.pad(pattern, (0, extra, 0, extra))
            scale = torch.nn.functional.pad(scale, (0, 0, 0, extra))
        return Held(pattern, scale)


def walk(model: ReplacementModel, traced: Sequence[Traced], chosen: Sequence[Tensor]) -> list[Tensor]:
    """Direct effects (len(chosen[b]), n_inputs) of all input nodes on the targets of one batch.

    chosen: of each prompt (n,) int64 rows of its `starts`, n ≥ 1.
    """
    cut = max(int(one.starts.position[rows].max()) for one, rows in zip(traced, chosen, strict=True)) + 1
    lanes = [_Lane(one, rows, model.n_layers, cut) for one, rows in zip(traced, chosen, strict=True)]
    gradient = lanes[0].gradient.new_zeros(cut, 0, model.d_model)
    for number in range(model.n_layers - 1, -1, -1):
        part = model.anatomy.layers[number]
        for lane, rows in _places(lanes):
            lane.score(gradient[:, rows], lane.traced.written[number])
        if number == model.n_layers - 1:
            _score_logits(lanes, number, cut)
        # Before `fresh` counts them in: those that come from above.
        under_way = list(_places(lanes))
        fresh = _start(part, number, lanes, cut, model.n_layers)
        if gradient.shape[1]:
            held = [(rows, lane.held(number, cut)) for lane, rows in under_way if rows.stop > rows.start]
            gradient += part.attention_backward(gradient, held)
        pieces = []
        for (_, rows), new in zip(under_way, fresh, strict=True):
            pieces += [gradient[:, rows], new]
        gradient = torch.cat(pieces, dim=1)
    found = []
    for lane, rows in _places(lanes):
        lane.score(gradient[:, rows], lane.traced.written[-1])
        result = torch.empty_like(lane.effects[:-1].T)
        result[lane.order] = lane.effects[:-1].T
        found.append(result)
    return found


def _places(lanes: list[_Lane]) -> Iterator[tuple[_Lane, slice]]:
    """Each prompt and where its rows that are under way stand in the gradient."""
    stop = 0
    for lane in lanes:
        start, stop = stop, stop + lane.n
        yield lane, slice(start, stop)


def _score_logits(lanes: list[_Lane], number: int, cut: int) -> None:
    """Logits read the last layer's output: they meet what it wrote at their own position."""
    for lane in lanes:
        if n := lane.joined[0]:
            here = torch.arange(n, device=lane.position.device)
            gradient = lane.gradient.new_zeros(cut, n, lane.gradient.shape[1])
            gradient[lane.position[:n], here] = lane.gradient[:n]
            lane.score(gradient, lane.traced.written[number])


def _start(part: Layer, number: int, lanes: list[_Lane], cut: int, n_layers: int) -> list[Tensor]:
    """The gradients (cut, n, d_model) of each prompt's targets that join at a layer, below its attention."""
    gradients, positions, held = [], [], []
    sizes = [lane.joined[n_layers - number] - lane.n for lane in lanes]
    at = 0
    for lane, size in zip(lanes, sizes, strict=True):
        if size:
            gradients.append(lane.gradient[lane.n : lane.n + size])
            positions.append(lane.position[lane.n : lane.n + size])
            held.append((slice(at, at + size), lane.held(number, cut)))
        at += size
        lane.n += size
    if not at:
        return [lane.gradient.new_zeros(cut, 0, lane.gradient.shape[1]) for lane in lanes]
    gradient, position = torch.cat(gradients), torch.cat(positions)
    result = part.attention_backward_from(gradient, position, held)
    result[position, torch.arange(at, device=position.device)] += gradient
    return list(result.split(sizes, dim=1))
