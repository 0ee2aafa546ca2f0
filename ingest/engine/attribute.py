"""Attribution by a hand-written backward pass ("Circuit Tracing", Anthropic 2025, "Attribution graphs").

On one prompt, freeze attention patterns and norm scales, and write each MLP's output as what the active
features f put there plus an error: y_l = Σ_f a_f d_{f→l} + b_l + e_l. Every node is then a linear function of
the nodes below it, and the direct effect of a source on a target t is a dot product with the gradient g of t:

    A[t, f] = a_f Σ_l g_{t,l}[p_f] · d_{f→l}   A[t, e_{l,p}] = g_{t,l}[p] · e_{l,p}   A[t, x_p] = g_t[p] · x_p

Steps
1. Run the model once; record patterns, scales, MLP inputs and outputs; encode: the active features.
2. What each layer wrote: decoder vectors times activation; the error is what they leave of the MLP's output.
3. Choose the logits: the most probable until they sum to `desired_logit_prob`, at most `max_n_logits`; their
   directions are unembedding columns minus the vocabulary's mean.
4. Start a gradient for every target: a logit's direction through the last norm, a feature's encoder vector
   through the norm that its MLP reads.
5. Walk the gradients down together. At each layer: score them against what was written there, let the targets
   of this layer join, add the attention path. At the bottom score the tokens x.
6. Put rows and columns in the graph's order.

Steps 2, 4 and 5 are in `ingest.engine.walk`. A target at position p depends on positions ≤ p only: batches
are sorted by position and cut after their last one.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ingest.engine.errors import SettingError
from ingest.engine.graph import AttributionGraph
from ingest.engine.model import ReplacementModel
from ingest.engine.prune import accumulate
from ingest.engine.walk import effects, sources, targets

BATCH_SIZE = 128
"""Targets that walk together: more means less overhead but coarser cuts by position and more memory."""

RANK_EVERY = 4
"""With `max_feature_nodes`: batches between two rankings of the features still to be attributed."""


def attribute(
    model: ReplacementModel,
    prompt: str | Sequence[int],
    *,
    max_n_logits: int = 10,
    desired_logit_prob: float = 0.95,
    max_feature_nodes: int | None = None,
    batch_size: int = BATCH_SIZE,
) -> AttributionGraph:
    """The attribution graph of a prompt's next-token logits.

    prompt: text, or vocabulary ids. max_feature_nodes: keep only so many features, the most influential
    first, as ranked on the rows known so far. batch_size: targets that walk together; changes speed and
    memory only. Raises PromptError for a prompt that cannot be attributed, SettingError for an argument out
    of range.
    """
    _check(max_n_logits, desired_logit_prob, max_feature_nodes, batch_size)
    with torch.no_grad():
        # 1
        encoded = model.encode(prompt)
        frozen = model.freeze(encoded.ids)
        skip_first = encoded.special_first_token
        active = model.transcoders.encode(model.read(frozen), skip_first=skip_first)
        # 2, 3, 4
        target_position = len(encoded.ids) - 1
        written = sources(model, frozen, active, skip_first=skip_first)
        logits = salient_logits(
            frozen.logits[target_position],
            model.anatomy.unembedding,
            max_n_logits=max_n_logits,
            desired_logit_prob=desired_logit_prob,
        )
        starts = targets(model, frozen, active, logits.directions, target_position)
        # 5
        n_active, n_logits = len(active.activation), len(logits.ids)
        every = torch.arange(n_active + n_logits)

        def rows_of(chosen: Tensor) -> Tensor:
            return effects(model, frozen, written, starts, chosen, batch_size)

        if max_feature_nodes is None or max_feature_nodes >= n_active:
            selected, rows = every[:n_active], rows_of(every)
        else:
            selected, rows = _most_influential(
                rows_of,
                starts.layer.cpu(),
                logits.probabilities.float().cpu(),
                limit=max_feature_nodes,
                at_once=RANK_EVERY * batch_size,
            )
    # 6
    n_inputs = rows.shape[1]
    kept = torch.cat([selected, torch.arange(n_active, n_inputs)])
    n_nodes = len(kept) + n_logits
    adjacency = torch.zeros(n_nodes, n_nodes)
    adjacency[: len(selected), : len(kept)] = rows[: len(selected), kept]
    adjacency[len(kept) :, : len(kept)] = rows[len(selected) :, kept]
    return AttributionGraph(
        tokens=encoded.tokens,
        token_ids=encoded.ids,
        active=active.where.cpu(),
        activations=active.activation.float().cpu(),
        selected=selected,
        adjacency=adjacency,
        logit_ids=logits.ids.cpu(),
        logit_tokens=tuple(model.decode(token) for token in logits.ids.tolist()),
        logit_probabilities=logits.probabilities.float().cpu(),
        n_layers=model.n_layers,
        target=f"salient-logits({max_n_logits}, {desired_logit_prob:g})",
        target_position=target_position,
        special_first_token=skip_first,
        max_feature_nodes=max_feature_nodes,
        dtype=str(model.dtype).removeprefix("torch."),
    )


class Logits(NamedTuple):
    """The logits to attribute, most probable first."""

    ids: Tensor
    """(n,) int64 vocabulary ids"""
    probabilities: Tensor
    """(n,)"""
    directions: Tensor
    """(n, d_model) at the last norm's output"""


def salient_logits(
    logits: Tensor, unembedding: Tensor, *, max_n_logits: int = 10, desired_logit_prob: float = 0.95
) -> Logits:
    """The most probable next tokens until they sum to `desired_logit_prob`, at most `max_n_logits`.

    logits: (vocab_size,); unembedding: (vocab_size, d_model). Directions are mean-centred, because adding one
    number to all logits changes no probability.
    """
    top = torch.topk(logits.softmax(-1), min(max_n_logits, len(logits)))
    enough = int((top.values.cumsum(0) < desired_logit_prob).sum()) + 1
    ids = top.indices[:enough]
    return Logits(ids, top.values[:enough], unembedding[ids] - unembedding.mean(0))


def _most_influential(
    rows_of: Callable[[Tensor], Tensor], layer: Tensor, weights: Tensor, *, limit: int, at_once: int
) -> tuple[Tensor, Tensor]:
    """Choose features greedily by their influence through the rows known so far.

    layer: (n_active + n_logits,) of every target. Returns the chosen features (limit,), sorted, and the rows
    of these features and of the logits, in that order.
    """
    n_active = len(layer) - len(weights)
    known = torch.arange(n_active, len(layer))
    rows = rows_of(known)
    while (missing := limit + len(weights) - len(known)) > 0:
        influence = _influence_so_far(known, rows, layer[known], weights)[:n_active]
        influence[known[known < n_active]] = -1
        chosen = torch.argsort(influence, descending=True, stable=True)[: min(missing, at_once)]
        known = torch.cat([known, chosen])
        rows = torch.cat([rows, rows_of(chosen)])
    order = torch.argsort(known)
    return known[order][:limit], rows[order]


def _influence_so_far(known: Tensor, rows: Tensor, layer: Tensor, weights: Tensor) -> Tensor:
    """(n_inputs,) influence of the inputs on the logits through the known rows only."""
    n_inputs, n_active = rows.shape[1], int(known[: len(weights)].min())
    node = torch.where(known < n_active, known, known - n_active + n_inputs)
    levels = [
        torch.nonzero(layer == number).flatten() for number in layer.unique(sorted=True).flip(0).tolist()
    ]
    start = torch.zeros(n_inputs + len(weights), dtype=torch.float64)
    start[n_inputs:] = weights
    return accumulate(start, ((node[level], rows[level]) for level in levels))[:n_inputs]


def _check(
    max_n_logits: int, desired_logit_prob: float, max_feature_nodes: int | None, batch_size: int
) -> None:
    for name, value in (
        ("max_n_logits", max_n_logits),
        ("max_feature_nodes", max_feature_nodes),
        ("batch_size", batch_size),
    ):
        if value is not None and value < 1:
            raise SettingError(f"{name} is {value}", next_step="give a whole number from 1 up")
    if not 0 < desired_logit_prob <= 1:
        raise SettingError(
            f"desired_logit_prob is {desired_logit_prob}", next_step="give a probability above 0, at most 1"
        )
