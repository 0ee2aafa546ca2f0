"""What nodes write to the residual stream, carried up the frozen linear model, and gradients, carried down.

With patterns and norm scales held, an attention layer adds Σ_h W_O^h A^h W_V^h norm(x) to the stream x.
Therefore what one node wrote reaches every later point of the stream as a separate vector. These vectors and
the vector of the constants (biases) sum to the stream. Of each MLP, only the skip connection of its
transcoder remains.
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
    """What nodes write to the residual stream at one depth."""

    nodes: Tensor
    """(m,) int64: numbers of input nodes, in the order [active features | errors, layer by layer | tokens]"""
    position: Tensor
    """(m,) int64: position to which each node writes"""
    vectors: Tensor
    """(m, d_model): what each node writes, multiplied by its activation"""


def writes(model: ReplacementModel, frozen: Frozen, active: Active, *, n_left_out: int) -> list[Writes]:
    """What the tokens write, and then what each layer's MLP writes: its features and its error.

    n_left_out: the errors of this many positions at the start are not nodes.
    """
    n_positions, n_active = len(frozen.ids), len(active.activation)
    place = torch.arange(n_positions, device=frozen.embedding.device)
    found = [Writes(place + (n_active + model.n_layers * n_positions), place, frozen.embedding)]
    for layer, (features, written) in enumerate(model.transcoders.writes(active)):
        at = active.where[features, 1]
        error = frozen.mlp_output[layer] - model.base(layer, frozen)
        error = error.index_add(0, at, written, alpha=-1)
        kept = place[n_left_out:]
        found.append(
            Writes(
                torch.cat([features, kept + (n_active + layer * n_positions)]),
                torch.cat([at, kept]),
                torch.cat([written, error[kept]]),
            )
        )
    return found


class Chosen(NamedTuple):
    """What chosen nodes write at one depth."""

    rows: Tensor
    """(m,) int64: places in the list of chosen nodes"""
    position: Tensor
    """(m,) int64, as in `Writes`"""
    vectors: Tensor
    """(m, d_model), as in `Writes`"""


def choose(written: Writes, nodes: Tensor, n_inputs: int) -> Chosen:
    """What the chosen nodes write. nodes: (n,) int64 numbers of input nodes, each once."""
    place = torch.full((n_inputs,), -1, dtype=torch.int64, device=nodes.device)
    place[nodes] = torch.arange(len(nodes), device=nodes.device)
    rows = place[written.nodes]
    mine = rows >= 0
    return Chosen(rows[mine], written.position[mine], written.vectors[mine])


def centred(model: ReplacementModel, logits: Tensor) -> Tensor:
    """(n, d_model): directions of logits at the last norm's output, minus the mean over the vocabulary.

    logits: (n,) vocabulary ids. Raises SettingError for a target that is not a single token (id -1).
    """
    if bool((logits < 0).any()):
        raise SettingError(
            "A target of the graph is not a single token",
            next_step="pass `logit_vectors`, the directions of the targets",
        )
    return model.anatomy.logit_directions(logits.to(model.device))


def values(part: Layer, scale: Tensor, stream: Tensor) -> Tensor:
    """(n, n_heads, n_positions, d_head): each head's values of streams (n, n_positions, d_model).

    scale: (n_positions, 1), the scale of the norm before attention.
    """
    here = part.attention_norm.forward(stream, scale)
    found = torch.einsum("nkd,gvd->ngkv", here, part.attention.value)
    return found.repeat_interleave(part.attention.output.shape[0] // found.shape[1], dim=1)


def attend(part: Layer, pattern: Tensor, read: Tensor) -> Tensor:
    """(n, n_positions, d_model): what attention adds to the stream; read: the result of `values`."""
    return torch.einsum("hqk,nhkv,hdv->nqd", pattern, read, part.attention.output)


def head_gradients(part: Layer, pattern: Tensor, gradient: Tensor) -> Tensor:
    """(n, n_heads, n_positions, d_head): gradients at each head's values, from those after attention."""
    mixed = torch.einsum("nqd,hdv->nhqv", gradient, part.attention.output)
    return torch.einsum("hqk,nhqv->nhkv", pattern, mixed)


def attend_backward(part: Layer, scale: Tensor, by_head: Tensor) -> Tensor:
    """(n, n_positions, d_model): gradients at the stream, from those at the heads' values."""
    n, _, n_positions, d_head = by_head.shape
    groups = by_head.view(n, part.attention.value.shape[0], -1, n_positions, d_head).sum(2)
    gradient = torch.einsum("ngkv,gvd->nkd", groups, part.attention.value)
    return part.attention_norm.backward(gradient, scale)
