"""Effects among the chosen features of one prompt: gradients walk down and streams walk up until they meet.

The frozen model is linear, so that the effect of a source on a target is a dot product at any layer between
the two. Walking all gradients down to the tokens (`ingest.engine.attribution.walk`) computes the effects of
all sources. When the sources are few too, it is cheaper to stop at a layer m:

1. choose   m, so that the work is least: each gradient passes the layers between its target and m, each
            stream those between its source and m
2. up       Carry what was written below m up to m, one vector at every position for each source. Targets
            that read below m are scored on the way.
3. down     Walk the gradients of all other targets down to m. What was written at m and above is scored on
            the way, and what was written below where they meet.
"""

from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor

from ingest.engine.attribution.walk import Lane, Traced, descend, together
from ingest.engine.replacement.model import ReplacementModel


class Streams(NamedTuple):
    """What some sources wrote below a layer, carried up to this layer."""

    sources: Tensor
    """(n,) int64 numbers of inputs"""
    start: int
    """The first position to which they write."""
    vectors: Tensor
    """(n_positions - start, n, d_model)"""


class Origins(NamedTuple):
    """Where each input was written; on the CPU."""

    layer: Tensor
    """(n_inputs,) int64: the lowest layer whose MLP writes the input; -1 for tokens. Errors that are left out
    write nothing, and get layer n_layers."""
    position: Tensor
    """(n_inputs,) int64"""

    @classmethod
    def of(cls, traced: Traced) -> "Origins":
        """The origins of all inputs of a prompt."""
        n_layers, n_positions = len(traced.sources.written), len(traced.frozen.ids)
        errors = torch.stack([block[:, -1].any(-1) for block in traced.sources.written]).cpu()
        of_errors = torch.where(errors, torch.arange(n_layers)[:, None], n_layers).flatten()
        place = torch.arange(n_positions)
        return cls(
            torch.cat([traced.active.where[:, 0].cpu(), of_errors, torch.full_like(place, -1)]),
            torch.cat([traced.active.where[:, 1].cpu(), place.repeat(n_layers + 1)]),
        )


def meeting(model: ReplacementModel, traced: Traced, batch_size: int) -> int:
    """Step 1: the layer before which gradients and streams meet; 0 when nothing is gained by streams.

    batch_size: the number of gradients that walk together. Streams take at most as many vectors as these.
    """
    n_layers, n_positions = model.n_layers, len(traced.frozen.ids)
    layer = traced.starts.layer.clamp(max=n_layers - 1).cpu()
    down = torch.zeros(n_layers, dtype=torch.int64).index_add(0, layer, traced.starts.position.cpu() + 1)
    origins = Origins.of(traced)
    up = torch.zeros(n_layers + 2, dtype=torch.int64)
    up.index_add_(0, origins.layer + 1, n_positions - origins.position)
    best, least = 0, int((down * torch.arange(n_layers)).sum())
    for m in range(1, n_layers):
        # up[i] vectors were written by layer i - 1.
        if int(up[: m + 1].sum()) > batch_size * n_positions:
            break
        gradients = int((down[m:] * torch.arange(1, n_layers - m + 1)).sum())
        work = gradients + int((up[: m + 1] * torch.arange(m, -1, -1)).sum())
        if work < least:
            best, least = m, work
    return best


def met(
    model: ReplacementModel, traced: Traced, bottom: int, batch_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Steps 2 and 3: rows of `Traced.starts`, (m,) int64, and their effects (m, n_inputs) on the CPU.

    bottom: the layer of step 1, from 1 to n_layers - 1. Each target occurs once. batch_size: the number of
    gradients that walk together.
    """
    most = together(model, traced, batch_size)
    origins, starts = Origins.of(traced), traced.starts
    below = (starts.layer < bottom).nonzero().flatten()
    rows = starts.logits.new_zeros(len(below), traced.n_inputs)
    low = (origins.layer < bottom).nonzero().flatten()
    low = low[torch.argsort(origins.position[low], stable=True)]
    # Sources at similar positions are together, because nothing is carried at the positions before them.
    streams = [_up(model, traced, origins, part, bottom, below, rows) for part in low.split(most)]
    if len(below):
        yield below.cpu(), rows.cpu()
    above = (starts.layer >= bottom).nonzero().flatten()
    for part in above[torch.argsort(starts.position[above], stable=True)].split(most):
        targets = part.sort().values
        cut = int(starts.position[targets].max()) + 1
        lane = Lane(model, traced, targets, cut)
        gradient = descend(model, [lane], cut, bottom)
        found = lane.rows()
        for sources, start, vectors in streams:
            if start < cut:
                of_part = torch.mm(_flat(gradient[start:]), _flat(vectors[: cut - start]).T)
                found[lane.order[:, None], sources] += of_part
        yield targets.cpu(), found.cpu()


def _flat(vectors: Tensor) -> Tensor:
    """(n, n_positions · d_model) from (n_positions, n, d_model)."""
    return vectors.transpose(0, 1).reshape(vectors.shape[1], -1)


def _up(
    model: ReplacementModel,
    traced: Traced,
    origins: Origins,
    chosen: Tensor,
    bottom: int,
    targets: Tensor,
    rows: Tensor,
) -> Streams:
    """Step 2 for some sources, up to the layer `bottom`.

    chosen: (n,) int64 numbers of inputs that were written below this layer. targets: (m,) int64 rows of
    `starts` that read below it, ascending. rows: (m, n_inputs), into which the effects on these targets are
    written.
    """
    frozen, written = traced.frozen, traced.sources
    own, order = torch.sort(origins.layer[chosen], stable=True)
    start = int(origins.position[chosen].min())
    under_way = torch.searchsorted(own, torch.arange(bottom + 1)).tolist()
    """[l]: number of sources that were written below layer l."""
    sources = chosen[order].to(model.device)
    place = torch.arange(len(sources), device=sources.device)
    is_token = sources >= len(written.slot)
    place_of_mlp, slot = place[~is_token], written.slot[sources[~is_token]]
    at = sources[is_token] - len(written.slot)
    stream = rows.new_zeros(len(frozen.ids) - start, len(sources), model.d_model)
    stream[at - start, place[is_token]] = written.tokens[at]

    counts = torch.bincount(traced.starts.layer[targets], minlength=model.n_layers)
    upto = [0, *accumulate(counts.tolist())]
    gradients = traced.starting_gradients(model, targets, upto)
    position = traced.starts.position[targets] - start
    for number in range(bottom):
        part, n = model.anatomy.layers[number], under_way[number]
        before = stream[:, :n]
        here = part.attention_norm.forward(before, frozen.attention_scale[number, start:, None])
        after = before + part.attention.forward_many(here, frozen.pattern[number, :, start:, start:])
        read = before if part.parallel else after
        mine = torch.arange(upto[number], upto[number + 1], device=position.device)
        mine = mine[position[mine] >= 0]
        if n and len(mine):
            effects = torch.bmm(read[position[mine]], gradients[mine, :, None])[..., 0]
            rows[mine[:, None], sources[:n]] = effects
        stream[:, :n] = after + model.skip_forward(number, read, frozen.mlp_scale[number, start:, None])
        # A cross-layer feature also writes to layers above its own.
        local, block = slot % written.n_slots - written.lowest[number], written.written[number]
        joins = (local >= 0) & (local < block.shape[1])
        to = slot[joins] // written.n_slots
        stream[to - start, place_of_mlp[joins]] += block[to, local[joins]]
    return Streams(sources, start, stream)
