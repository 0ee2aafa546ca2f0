"""What nodes put into the residual stream, carried up the frozen linear model; and gradients, carried down.

With patterns and norm scales held, an attention layer adds Σ_h W_O^h A^h W_V^h norm(x) to the stream x. So
what one node wrote reaches every later point of the stream as a vector of its own, and these vectors, with
that of the constants (biases), sum to the stream itself. Of MLPs only a transcoder's skip connection stays.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ingest.engine.adapters.anatomy import Layer
from ingest.engine.errors import SettingError
from ingest.engine.replacement.model import ReplacementModel
from ingest.engine.replacement.record import Frozen
from ingest.engine.transcoders.transcoder import Active


class Writes(NamedTuple):
    """What nodes write at one depth."""

    nodes: Tensor
    """(m,) int64: numbers of input nodes, in the order [active features | errors, layer by layer | tokens]"""
    position: Tensor
    """(m,) int64"""
    vectors: Tensor
    """(m, d_model) the activation folded in"""


def writes(model: ReplacementModel, frozen: Frozen, active: Active, *, skip_first: bool) -> list[Writes]:
    """The tokens, and then what each layer's MLP writes: its features and its error.

    skip_first: the error of position 0 is no node.
    """
    n_positions, n_active = len(frozen.ids), len(active.activation)
    place = torch.arange(n_positions, device=frozen.embedding.device)
    found = [Writes(place + (n_active + model.n_layers * n_positions), place, frozen.embedding)]
    for layer, (features, written) in enumerate(model.transcoders.writes(active)):
        at = active.where[features, 1]
        error = frozen.mlp_output[layer] - model.base(layer, frozen)
        error = error.index_add(0, at, written, alpha=-1)
        kept = place[int(skip_first) :]
        found.append(
            Writes(
                torch.cat([features, kept + (n_active + layer * n_positions)]),
                torch.cat([at, kept]),
                torch.cat([written, error[kept]]),
            )
        )
    return found


class Chosen(NamedTuple):
    """`Writes` of some nodes only."""

    rows: Tensor
    """(m,) int64: places in the list of chosen nodes"""
    position: Tensor
    """(m,) int64"""
    vectors: Tensor
    """(m, d_model)"""


def choose(written: Writes, nodes: Tensor, n_inputs: int) -> Chosen:
    """What the chosen nodes write. nodes: (n,) int64 numbers of input nodes, each once."""
    place = torch.full((n_inputs,), -1, dtype=torch.int64, device=nodes.device)
    place[nodes] = torch.arange(len(nodes), device=nodes.device)
    rows = place[written.nodes]
    mine = rows >= 0
    return Chosen(rows[mine], written.position[mine], written.vectors[mine])


def centred(model: ReplacementModel, logits: Tensor) -> Tensor:
    """(n, d_model) directions of logits at the last norm's output, the vocabulary's mean taken away.

    logits: (n,) vocabulary ids. Raises SettingError for a target that is none.
    """
    if bool((logits < 0).any()):
        raise SettingError(
            "A target of the graph is no single token",
            next_step="pass `logit_vectors`, the directions asked for",
        )
    return model.anatomy.logit_directions(logits.to(model.device))


def values(part: Layer, scale: Tensor, stream: Tensor) -> Tensor:
    """(n, n_heads, n_positions, d_head) what each head reads of streams (n, n_positions, d_model).

    scale: (n_positions, 1) of the norm before attention.
    """
    here = part.attention_norm.forward(stream, scale)
    found = torch.einsum("nkd,gvd->ngkv", here, part.attention.value)
    return found.repeat_interleave(part.attention.output.shape[0] // found.shape[1], dim=1)


def attend(part: Layer, pattern: Tensor, read: Tensor) -> Tensor:
    """(n, n_positions, d_model) what attention adds to the stream; read: of `values`."""
    return torch.einsum("hqk,nhkv,hdv->nqd", pattern, read, part.attention.output)


def skip(model: ReplacementModel, frozen: Frozen, number: int, stream: Tensor) -> Tensor:
    """What the skip connection of a layer's transcoder, if any, adds to streams (n, n_positions, d_model).

    stream: what the MLP's norm reads.
    """
    matrix = model.transcoders.layers[number].skip
    if matrix is None:
        return stream.new_zeros(())
    norm, scale = model.anatomy.layers[number].mlp_norm, frozen.mlp_scale[number, : stream.shape[1]]
    match model.transcoders.read_at:
        case "hook_resid_mid":
            read = stream
        case "ln2.hook_normalized":
            read = norm.centre(stream) * scale
        case _:
            read = norm.forward(stream, scale)
    return torch.nn.functional.linear(read, matrix)


def head_gradients(part: Layer, pattern: Tensor, gradient: Tensor) -> Tensor:
    """(n, n_heads, n_positions, d_head) gradients at what each head reads, from those after attention."""
    mixed = torch.einsum("nqd,hdv->nhqv", gradient, part.attention.output)
    return torch.einsum("hqk,nhqv->nhkv", pattern, mixed)


def attend_backward(part: Layer, scale: Tensor, by_head: Tensor) -> Tensor:
    """(n, n_positions, d_model) gradients at the stream, from those at what the heads read."""
    n, _, n_positions, d_head = by_head.shape
    groups = by_head.view(n, part.attention.value.shape[0], -1, n_positions, d_head).sum(2)
    gradient = torch.einsum("ngkv,gvd->nkd", groups, part.attention.value)
    return part.attention_norm.backward(gradient, scale)
