"""The linear walk: gradients of many targets go down the frozen model and meet what each layer wrote.

    A[t, f] = a_f Σ_l g_{t,l}[p_f] · d_{f→l}   A[t, e_{l,p}] = g_{t,l}[p] · e_{l,p}   A[t, x_p] = g_t[p] · x_p

`ingest.engine.attribute` explains the steps; this file is steps 2, 4 and 5 of them.
"""

from typing import NamedTuple

import torch
from torch import Tensor

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


def effects(
    model: ReplacementModel,
    frozen: Frozen,
    written: list[Sources],
    starts: Targets,
    chosen: Tensor,
    batch_size: int,
) -> Tensor:
    """Direct effects (len(chosen), n_inputs) of all input nodes on some targets, float32 on the CPU.

    chosen: (n,) int64 rows of `starts`, on the CPU. They walk in batches of neighbouring positions, so that
    each batch can be cut after its last one.
    """
    n_inputs = int(written[-1].columns[-1, -1]) + 1
    rows = torch.empty(len(chosen), n_inputs)
    order = torch.argsort(starts.position.cpu()[chosen], stable=True)
    for part in order.split(batch_size):
        rows[part] = walk(model, frozen, written, starts, chosen[part].to(model.device)).float().cpu()
    return rows


def walk(
    model: ReplacementModel, frozen: Frozen, written: list[Sources], starts: Targets, batch: Tensor
) -> Tensor:
    """Direct effects (len(batch), n_inputs) of all input nodes on the targets of one batch.

    batch: (n,) int64 rows of `starts`.
    """
    # Deeper targets join later: sorted by falling layer, those under way are the first `n` of the batch.
    order = torch.argsort(starts.layer[batch], descending=True, stable=True)
    batch = batch[order]
    layer, position = starts.layer[batch], starts.position[batch]
    n_layers, cut = model.n_layers, int(position.max()) + 1
    n_above = torch.searchsorted(-layer, torch.arange(-n_layers, 1, device=layer.device), right=True).tolist()

    def join(gradient: Tensor, first: int, last: int) -> Tensor:
        """Add the targets from `first` to `last` to those under way."""
        new = gradient.new_zeros(cut, last - first, gradient.shape[2])
        new[position[first:last], torch.arange(last - first, device=new.device)] = starts.gradient[
            batch[first:last]
        ]
        return torch.cat([gradient, new], dim=1)

    n_inputs = int(written[-1].columns[-1, -1]) + 1
    effects = starts.gradient.new_zeros(n_inputs + 1, len(batch))

    def score(gradient: Tensor, here: Sources) -> None:
        products = torch.bmm(here.vectors[:cut], gradient.transpose(1, 2))
        effects[:, : gradient.shape[1]].index_add_(0, here.columns[:cut].flatten(), products.flatten(0, 1))

    n = n_above[0]
    gradient = join(starts.gradient.new_zeros(cut, 0, model.d_model), 0, n)
    for number in range(n_layers - 1, -1, -1):
        if n:
            score(gradient, written[number])
        joined = n_above[n_layers - number]
        if joined > n:
            gradient, n = join(gradient, n, joined), joined
        if not n:
            continue
        part = model.anatomy.layers[number]
        through = part.attention.backward(gradient, frozen.pattern[number, :, :cut, :cut])
        gradient += part.attention_norm.backward(through, frozen.attention_scale[number, :cut, None])
    score(gradient, written[-1])
    result = torch.empty(len(batch), n_inputs, dtype=effects.dtype, device=effects.device)
    result[order] = effects[:-1].T
    return result
