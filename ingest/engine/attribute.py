"""Attribution by a hand-written backward pass ("Circuit Tracing", Anthropic 2025, "Attribution graphs").

On one prompt, freeze attention patterns and norm scales, and write each MLP's output as what the active
features f put there plus an error: y_l = Σ_f a_f d_{f→l} + b_l + e_l. Every node is then a linear function of
the nodes below it, and the direct effect of a source on a target t is a dot product with the gradient g of t:

    A[t, f] = a_f Σ_l g_{t,l}[p_f] · d_{f→l}   A[t, e_{l,p}] = g_{t,l}[p] · e_{l,p}   A[t, x_p] = g_t[p] · x_p

Steps
1. Run the model once; record patterns, scales, MLP inputs and outputs; encode: the active features.
2. What each layer wrote: decoder vectors times activation; the error is what they leave of the MLP's output.
3. Choose the targets as directions (`ingest.engine.targets`): by default the most probable next tokens.
4. Start a gradient for every target: a logit's direction through the last norm, a feature's encoder vector
   through the norm that its MLP reads.
5. Walk the gradients down together. At each layer: score them against what was written there, let the targets
   of this layer join, add the attention path. At the bottom score the tokens x.
6. Put rows and columns in the graph's order.

Steps 2, 4 and 5 are in `ingest.engine.walk`. A target at position p depends on positions ≤ p only: batches
are sorted by position and cut after their last one.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ingest.engine.errors import SettingError
from ingest.engine.graph import AttributionGraph
from ingest.engine.model import Encoded, FirstToken, ReplacementModel
from ingest.engine.prune import accumulate
from ingest.engine.record import Frozen
from ingest.engine.targets import DEFAULT, Logits, Target, named, resolve
from ingest.engine.walk import Traced, effects, sources, starts

BATCH_SIZE = 512
"""Targets that walk together: more means less overhead but coarser cuts by position and more memory."""

RANK_EVERY = 4
"""With `max_feature_nodes`: batches between two rankings of the features still to be attributed."""


def attribute(
    model: ReplacementModel,
    prompt: str | Sequence[int],
    targets: Sequence[Target] = DEFAULT,
    *,
    first_token: FirstToken = "left-out",
    max_feature_nodes: int | None = None,
    batch_size: int = BATCH_SIZE,
) -> AttributionGraph:
    """The attribution graph of one prompt; see `attribute_many`."""
    encoded = model.encode(prompt, first_token=first_token)
    return attribute_many(
        model, [(encoded, targets)], max_feature_nodes=max_feature_nodes, batch_size=batch_size
    )[0]


def attribute_many(
    model: ReplacementModel,
    jobs: Sequence[tuple[Encoded, Sequence[Target]]],
    *,
    max_feature_nodes: int | None = None,
    batch_size: int = BATCH_SIZE,
) -> list[AttributionGraph]:
    """The attribution graphs of some prompts, each with its targets, computed together.

    jobs: prompts as `ReplacementModel.encode` gives them; best of like length. max_feature_nodes: keep only
    so many features of each, the most influential first, as ranked on the rows known so far. batch_size:
    targets that walk together; changes speed and memory only. Raises PromptError for a prompt that cannot be
    attributed, SettingError for an argument out of range.
    """
    _check(max_feature_nodes, batch_size)
    names = [named(model, encoded, wanted) for encoded, wanted in jobs]
    with torch.no_grad():
        # 1, 2, 3, 4
        traced, logits = [], []
        frozen_all = model.freeze_many([encoded.ids for encoded, _ in jobs])
        for (encoded, wanted), frozen in zip(jobs, frozen_all, strict=True):
            chosen = resolve(model, frozen, wanted)
            logits.append(chosen)
            traced.append(trace(model, frozen, chosen, skip_first=encoded.special_first_token))
        # 5
        everything = [torch.arange(len(one.starts.layer)) for one in traced]
        if max_feature_nodes is None:
            rows = effects(model, traced, everything, batch_size)
            selected = [
                every[: len(one.active.activation)] for every, one in zip(everything, traced, strict=True)
            ]
        else:
            found = [
                _most_influential(model, one, few.probabilities.cpu(), max_feature_nodes, batch_size)
                for one, few in zip(traced, logits, strict=True)
            ]
            selected, rows = [one[0] for one in found], [one[1] for one in found]
    # 6
    return [
        AttributionGraph(
            tokens=encoded.tokens,
            token_ids=encoded.ids,
            active=walked.active.where.cpu(),
            activations=walked.active.activation.cpu(),
            selected=kept,
            adjacency=_adjacency(kept, effect, len(walked.active.activation)),
            logit_ids=few.ids.cpu(),
            logit_tokens=few.names,
            logit_probabilities=few.probabilities.cpu(),
            logit_positions=few.positions.cpu(),
            n_layers=model.n_layers,
            target=name.target,
            target_position=name.position,
            special_first_token=encoded.special_first_token,
            max_feature_nodes=max_feature_nodes,
            dtype=str(model.dtype).removeprefix("torch."),
        )
        for (encoded, _), name, walked, few, kept, effect in zip(
            jobs, names, traced, logits, selected, rows, strict=True
        )
    ]


def trace(model: ReplacementModel, frozen: Frozen, logits: Logits, *, skip_first: bool) -> Traced:
    """Steps 1, 2 and 4 for one prompt."""
    active = model.transcoders.encode(model.read(frozen), skip_first=skip_first)
    return Traced(
        frozen,
        active,
        sources(model, frozen, active, skip_first=skip_first),
        starts(model, frozen, active, logits.directions, logits.positions),
    )


def _adjacency(selected: Tensor, rows: Tensor, n_active: int) -> Tensor:
    """The matrix in the graph's order, from the rows of the selected features and then of the logits."""
    n_selected, n_logits = len(selected), len(rows) - len(selected)
    if n_selected < n_active:
        rows = rows[:, torch.cat([selected, torch.arange(n_active, rows.shape[1])])]
    n_inputs = rows.shape[1]
    adjacency = rows.new_zeros(n_inputs + n_logits, n_inputs + n_logits)
    adjacency[:n_selected, :n_inputs] = rows[:n_selected]
    adjacency[n_inputs:, :n_inputs] = rows[n_selected:]
    return adjacency


def _most_influential(
    model: ReplacementModel, traced: Traced, weights: Tensor, limit: int, batch_size: int
) -> tuple[Tensor, Tensor]:
    """Choose features greedily by their influence through the rows known so far.

    weights: (n_logits,) probabilities. Returns the chosen features (≤ limit,), sorted, and the rows of these
    features and of the logits, in that order.
    """
    layer = traced.starts.layer.cpu()
    n_active = len(layer) - len(weights)

    def rows_of(chosen: Tensor) -> Tensor:
        return effects(model, [traced], [chosen], batch_size)[0]

    if limit >= n_active:
        return torch.arange(n_active), rows_of(torch.arange(len(layer)))
    known = torch.arange(n_active, len(layer))
    rows = rows_of(known)
    while (missing := limit + len(weights) - len(known)) > 0:
        influence = _influence_so_far(known, rows, layer[known], weights)[:n_active]
        influence[known[known < n_active]] = -1
        chosen = torch.argsort(influence, descending=True, stable=True)[
            : min(missing, RANK_EVERY * batch_size)
        ]
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


def _check(max_feature_nodes: int | None, batch_size: int) -> None:
    for name, value in (("max_feature_nodes", max_feature_nodes), ("batch_size", batch_size)):
        if value is not None and value < 1:
            raise SettingError(f"{name} is {value}", next_step="give a whole number from 1 up")
