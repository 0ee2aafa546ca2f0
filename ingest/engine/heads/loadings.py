"""Head loadings: the part of each edge that each attention head carries.

An edge runs through the residual stream and through attention heads. At every attention layer l that the edge
crosses, the edge from s to t is exactly the sum:

    A[t, s] = past + Σ_h head_h + above

    past     Σ_q F[q] · G[q]                              the part that bypasses the heads of layer l
    head_h   Σ_{q,k} (W_O^h A^h_{qk} W_V^h norm(F[k])) · G[q]   the part that head h carries
    above    Σ_{l' ≥ l} w_{l'}[p_s] · G_{l'}[p_s]         the part that s writes only at layer l or later

    F        (positions) what s wrote to the stream before layer l, carried up to layer l
    G        (positions) the gradient of t between attention and MLP of layer l; G_{l'} after MLP l'
    w_{l'}   what s writes at MLP l', including the factor of its activation

An edge crosses layer l when s writes below l and t reads at l or above. In models whose MLPs read the same
stream as attention, t must read above l. `above` is 0 for per-layer transcoders, errors and tokens. A norm
after attention counts as a part of the heads. A transcoder's skip connection bypasses the heads.

Steps
1. Run the model. List the sources and targets of the kept edges.
2. Carry all sources up together, which gives F at every layer.
3. Carry the gradients of all targets down together. At each layer:
   a. Score what is written there, which gives `above`.
   b. Let the targets of this layer join.
   c. Multiply F by G, which gives `past`, and the heads' values by their gradients, which gives `head_h`.
   d. Continue down through the heads.

Products are computed for all kept sources with all kept targets, as one matrix product per head, and the
products of kept edges are selected. On all hardware this is faster than fetching both vectors of each edge.

The total of a head over a circuit is the influence that runs through it: Σ over edges of (output of t) ·
sign(A[t, s]) · head_h / Σ_{s'} |A[t, s']|. The output of t is its influence in the unpruned graph ("Circuit
Tracing", Anthropic 2025) plus, for a logit, its probability. In each layer, the totals of heads, past and
above sum to the total of the edges.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ingest.engine.attribution.graph import GraphNodes
from ingest.engine.attribution.prune import Pruned
from ingest.engine.intervention.streams import (
    Chosen,
    attend,
    attend_backward,
    centred,
    choose,
    head_gradients,
    values,
    writes,
)
from ingest.engine.replacement.model import ReplacementModel
from ingest.engine.replacement.record import Frozen
from ingest.engine.transcoders.transcoder import Active

MEMORY = 1 << 30
"""Bytes that the streams of the sources may take. Sources that need more memory are processed in rounds."""


@dataclass(frozen=True, eq=False)
class HeadLoadings:
    """The parts of each kept edge at each layer. E edges, L layers, H heads. Tensors are on the CPU."""

    target: Tensor
    """(E,) int64 target node of each edge; edges are ordered by target and source, as in records"""
    source: Tensor
    """(E,) int64 source node of each edge"""
    weight: Tensor
    """(E,) signed direct effect of each edge"""
    crosses: Tensor
    """(L, E) bool: whether the edge crosses the attention of the layer. If it does not, its parts are 0."""
    heads: Tensor
    """(L, E, H) the part that each head carries"""
    past: Tensor
    """(L, E) the part that bypasses the heads"""
    above: Tensor
    """(L, E) the part that the source writes only at this layer or later"""


@dataclass(frozen=True, eq=False)
class HeadTotals:
    """The influence that runs through each head, over all kept edges of a graph."""

    net: Tensor
    """(L, H) float64: a part whose sign differs from the sign of its edge counts as negative"""
    gross: Tensor
    """(L, H) float64: every part counts as positive"""


def head_loadings(
    model: ReplacementModel, graph: GraphNodes, pruned: Pruned, logit_vectors: Tensor | None = None
) -> HeadLoadings:
    """Split every kept edge at every attention layer that it crosses.

    graph: a graph of this model. logit_vectors: (n_logits, d_model) directions at the last norm's output;
    None for the mean-centred directions of the graph's logits. Raises SettingError when `logit_vectors` is
    None and a target of the graph is not a single token.
    """
    with torch.no_grad():
        # 1
        target, source = pruned.target, pruned.source
        frozen = model.freeze(graph.token_ids)
        device = model.device
        edges = _Edges(graph, target, source, device)
        parts = _parts(model, frozen, graph, edges, logit_vectors)
    layer = graph.node_layers()
    crosses = torch.stack(
        [
            (layer[source] < number) & (layer[target] >= number + int(part.parallel))
            for number, part in enumerate(model.anatomy.layers)
        ]
    )
    heads, past, above = (torch.stack(each).cpu() for each in parts)
    return HeadLoadings(
        target=target,
        source=source,
        weight=pruned.weight,
        crosses=crosses,
        heads=heads * crosses[:, :, None],
        past=past * crosses,
        above=above * crosses,
    )


def head_totals(loadings: HeadLoadings, graph: GraphNodes, pruned: Pruned) -> HeadTotals:
    """The influence that runs through each head, summed over the kept edges."""
    output = pruned.influence.clone()
    output[graph.logit_nodes] += graph.logit_probabilities.double()
    factor = (output / torch.where(pruned.inputs > 0, pruned.inputs, 1.0))[loadings.target]
    heads = loadings.heads.double() * factor[:, None]
    return HeadTotals(
        net=(heads * loadings.weight.sign()[:, None]).sum(1),
        gross=heads.abs().sum(1),
    )


class _Edges:
    """Kept edges, as places in the lists of their distinct sources and targets."""

    def __init__(self, graph: GraphNodes, target: Tensor, source: Tensor, device: torch.device) -> None:
        self.targets, self.target = torch.unique(target, return_inverse=True)
        self.sources, self.source = torch.unique(source, return_inverse=True)
        self.target, self.source = self.target.to(device), self.source.to(device)
        self.target_layers = graph.node_layers()[self.targets].to(device)
        self.target_positions = graph.node_positions()[self.targets].to(device)
        self.cut = 1 + int(self.target_positions.max()) if len(self.targets) else 0
        # Sources are numbered among all active features, not only among the selected ones.
        self.n_inputs = graph.n_active + graph.token_nodes.stop - graph.n_features
        whole = torch.cat([graph.selected, torch.arange(graph.n_active, self.n_inputs)])
        self.inputs = whole[self.sources].to(device)


def _parts(
    model: ReplacementModel,
    frozen: Frozen,
    graph: GraphNodes,
    edges: _Edges,
    logit_vectors: Tensor | None,
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Heads (E, H), past (E,) and above (E,) of each layer."""
    n_layers, cut, n_edges = model.n_layers, edges.cut, len(edges.source)
    device, dtype = model.device, frozen.embedding.dtype
    n_heads = [part.attention.output.shape[0] for part in model.anatomy.layers]
    heads = [torch.zeros(n_edges, n, dtype=dtype, device=device) for n in n_heads]
    past = [torch.zeros(n_edges, dtype=dtype, device=device) for _ in range(n_layers)]
    above = [torch.zeros(n_edges, dtype=dtype, device=device) for _ in range(n_layers)]
    if not n_edges:
        return heads, past, above
    active = Active(graph.active.to(device), graph.activations.to(device, dtype))
    written = writes(model, frozen, active, n_left_out=graph.n_left_out)
    starts = _starts(model, frozen, graph, edges, logit_vectors)
    at_once = max(1, MEMORY // (n_layers * cut * model.d_model * dtype.itemsize))
    for first in range(0, len(edges.sources), at_once):
        mine = ((edges.source >= first) & (edges.source < first + at_once)).nonzero().flatten()
        source, target = edges.source[mine] - first, edges.target[mine]
        here = [choose(each, edges.inputs[first : first + at_once], edges.n_inputs) for each in written]
        n_sources = min(at_once, len(edges.sources) - first)
        # 2
        streams = []
        stream = torch.zeros(n_sources, cut, model.d_model, dtype=dtype, device=device)
        for number, part in enumerate(model.anatomy.layers):
            stream = _with(stream, here[number])
            streams.append(stream)
            read = values(part, frozen.attention_scale[number, :cut], stream)
            after = stream + attend(part, frozen.pattern[number, :, :cut, :cut], read)
            before = stream if part.parallel else after
            stream = after + model.skip_forward(number, before, frozen.mlp_scale[number, :cut])
        # 3
        gradient = torch.zeros(len(edges.targets), cut, model.d_model, dtype=dtype, device=device)
        gradient = _join(gradient, starts, n_layers)
        later = torch.zeros(len(mine), dtype=dtype, device=device)
        for number in range(n_layers - 1, -1, -1):
            part = model.anatomy.layers[number]
            later = later + _scored(here[number + 1], gradient, source, target, n_sources)
            by_mlp = model.skip_backward(number, gradient, frozen.mlp_scale[number, :cut])
            whole = gradient + _join(by_mlp, starts, number)
            by_head = head_gradients(
                part, frozen.pattern[number, :, :cut, :cut], gradient if part.parallel else whole
            )
            read = values(part, frozen.attention_scale[number, :cut], streams[number])
            products = torch.bmm(read.transpose(0, 1).flatten(2), by_head.transpose(0, 1).flatten(2).mT)
            heads[number][mine] = products[:, source, target].T
            past[number][mine] = (streams[number].flatten(1) @ whole.flatten(1).T)[source, target]
            above[number][mine] = later
            gradient = whole + attend_backward(part, frozen.attention_scale[number, :cut], by_head)
    return heads, past, above


class _Starts(NamedTuple):
    """The start of each target's gradient, in the order of `_Edges.targets`."""

    layer: Tensor
    """(n_targets,) int64: layer that the target reads; n_layers for logits"""
    position: Tensor
    """(n_targets,) int64"""
    gradient: Tensor
    """(n_targets, d_model)"""


def _starts(
    model: ReplacementModel,
    frozen: Frozen,
    graph: GraphNodes,
    edges: _Edges,
    logit_vectors: Tensor | None,
) -> _Starts:
    device = model.device
    gradient = torch.zeros_like(frozen.embedding[:1]).repeat(len(edges.targets), 1)
    features = graph.features.to(device)
    for number in range(model.n_layers):
        mine = (edges.target_layers == number).nonzero().flatten()
        where = features[edges.targets.to(device)[mine]]
        encoder = model.transcoders.encoder_rows(number, where[:, 2])
        gradient[mine] = model.read_backward(number, encoder, frozen.mlp_scale[number, where[:, 1]])
    if logit_vectors is None:
        logit_vectors = centred(model, graph.logit_ids)
    mine = (edges.target_layers == model.n_layers).nonzero().flatten()
    vectors = logit_vectors[edges.targets.to(device)[mine] - graph.logit_nodes.start]
    scale = frozen.final_scale[edges.target_positions[mine]]
    gradient[mine] = model.anatomy.final_norm.backward(vectors, scale)
    return _Starts(edges.target_layers, edges.target_positions, gradient)


def _join(gradient: Tensor, starts: _Starts, layer: int) -> Tensor:
    """The gradients after the targets that read at a layer joined; layer n_layers means the logits."""
    mine = (starts.layer == layer).nonzero().flatten()
    return gradient.index_put((mine, starts.position[mine]), starts.gradient[mine], accumulate=True)


def _with(stream: Tensor, written: Chosen) -> Tensor:
    """The streams after adding what is written at one depth."""
    inside = written.position < stream.shape[1]
    at = written.rows[inside], written.position[inside]
    return stream.index_put(at, written.vectors[inside], accumulate=True)


def _scored(written: Chosen, gradient: Tensor, source: Tensor, target: Tensor, n_sources: int) -> Tensor:
    """(n_edges,): what the sources write at one depth, times the targets' gradients there."""
    place = torch.full((n_sources,), -1, dtype=torch.int64, device=gradient.device)
    inside = (written.position < gradient.shape[1]).nonzero().flatten()
    place[written.rows[inside]] = inside
    found = torch.zeros(len(source), dtype=gradient.dtype, device=gradient.device)
    mine = (place[source] >= 0).nonzero().flatten()
    row = place[source[mine]]
    found[mine] = (written.vectors[row] * gradient[target[mine], written.position[row]]).sum(-1)
    return found
