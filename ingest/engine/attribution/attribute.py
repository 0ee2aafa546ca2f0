"""Attribution by a hand-written backward pass ("Circuit Tracing", Anthropic 2025, "Attribution graphs").

On one prompt, freeze attention patterns and norm scales, and write each MLP's output as what the active
features f put there plus an error: y_l = Σ_f a_f d_{f→l} + b_l + e_l. Every node is then a linear function of
the nodes below it, and the direct effect of a source on a target t is a dot product with the gradient g of t:

    A[t, f] = a_f Σ_l g_{t,l}[p_f] · d_{f→l}   A[t, e_{l,p}] = g_{t,l}[p] · e_{l,p}   A[t, x_p] = g_t[p] · x_p

Steps
1. Run the model once; record patterns, scales, MLP inputs and outputs; encode: the active features.
2. What each layer wrote: decoder vectors times activation; the error is what they leave of the MLP's output.
3. Choose the targets as directions (`ingest.engine.attribution.targets`): by default the most probable next
tokens.
4. Start a gradient for every target: a logit's direction through the last norm, a feature's encoder vector
   through the norm that its MLP reads.
5. Walk the gradients down together. At each layer: score them against what was written there, let the targets
   of this layer join, add the attention path. At the bottom score the tokens x.
6. Put rows and columns in the graph's order.

Steps 2, 4 and 5 are in `ingest.engine.attribution.walk`. A target at position p depends on positions ≤ p
only: batches are sorted by position and cut after their last one. Where memory is bounded, a graph whose
matrix does not fit has its steps 5 and 6 when its rows are asked for (`ingest.engine.attribution.streamed`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ingest.engine.attribution.budget import Budget
from ingest.engine.attribution.graph import AttributionGraph, GraphNodes
from ingest.engine.attribution.rows import Rows
from ingest.engine.attribution.select import most_influential
from ingest.engine.attribution.streamed import StreamedGraph
from ingest.engine.attribution.targets import DEFAULT, Job, Logits, Named, Target, named, resolve
from ingest.engine.attribution.walk import Traced, effects, sources, starts
from ingest.engine.errors import SettingError
from ingest.engine.replacement.model import Encoded, FirstToken, ReplacementModel
from ingest.engine.replacement.record import Frozen

BATCH_SIZE = 512
"""Targets that walk together: more means less overhead but coarser cuts by position and more memory."""


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
    jobs: Sequence[Job],
    *,
    max_feature_nodes: int | None = None,
    batch_size: int = BATCH_SIZE,
) -> list[AttributionGraph]:
    """The attribution graphs of some prompts, each with its targets, computed together.

    jobs: best of like length. max_feature_nodes: keep only so many features of each, the most influential
    first, as ranked on the rows known so far. batch_size: targets that walk together; changes speed and
    memory only. Raises PromptError for a prompt that cannot be attributed, SettingError for an argument out
    of range.
    """
    _check(max_feature_nodes=max_feature_nodes, batch_size=batch_size)
    return _whole(model, _ready(model, jobs), max_feature_nodes, batch_size)


def attribute_each(
    model: ReplacementModel,
    jobs: Sequence[Job],
    *,
    max_feature_nodes: int | None = None,
    batch_size: int = BATCH_SIZE,
    memory: int | None = None,
) -> Iterator[GraphNodes]:
    """The same, one after another, within `memory` bytes besides the model; None: no limit.

    Prompts whose matrices fit are computed together; the graph of one whose matrix does not fit is streamed.
    Prune each graph and let it go before the next one is asked for. Raises SettingError for a memory that
    does not hold one gradient, besides what `attribute_many` raises.
    """
    _check(max_feature_nodes=max_feature_nodes, batch_size=batch_size, memory=memory)
    if memory is None:
        yield from _whole(model, _ready(model, jobs), max_feature_nodes, batch_size)
        return
    budget = Budget(model, memory, batch_size, max_feature_nodes)
    waiting: list[_Prompt] = []
    for group in budget.groups(jobs):
        for one in _ready(model, group):
            fits = budget.whole([prompt.traced for prompt in [*waiting, one]])
            if waiting and not fits:
                yield from _whole(model, waiting, max_feature_nodes, batch_size)
                waiting, fits = [], budget.whole([one.traced])
            if fits:
                waiting.append(one)
                batch_size = fits
            else:
                yield _streamed(model, one, max_feature_nodes, *budget.streaming(one.traced))
    if waiting:
        yield from _whole(model, waiting, max_feature_nodes, batch_size)


@dataclass(frozen=True, eq=False)
class _Prompt:
    """One prompt, ready for the walk."""

    encoded: Encoded
    name: Named
    logits: Logits
    traced: Traced

    @property
    def n_active(self) -> int:
        return len(self.traced.active.activation)

    def about(self, model: ReplacementModel, selected: Tensor, limit: int | None) -> dict[str, Any]:
        """What a graph says of its nodes."""
        return {
            "tokens": self.encoded.tokens,
            "token_ids": self.encoded.ids,
            "active": self.traced.active.where.cpu(),
            "activations": self.traced.active.activation.cpu(),
            "selected": selected,
            "logit_ids": self.logits.ids.cpu(),
            "logit_tokens": self.logits.names,
            "logit_probabilities": self.logits.probabilities.cpu(),
            "logit_positions": self.logits.positions.cpu(),
            "n_layers": model.n_layers,
            "target": self.name.target,
            "target_position": self.name.position,
            "special_first_token": self.encoded.special_first_token,
            "max_feature_nodes": limit,
            "dtype": str(model.dtype).removeprefix("torch."),
        }


def _ready(model: ReplacementModel, jobs: Sequence[Job]) -> Iterator[_Prompt]:
    """Steps 1 to 4: the model runs once on all, the rest is done for each as it is asked for."""
    names = [named(model, encoded, wanted) for encoded, wanted in jobs]
    frozen_all = model.freeze_many([encoded.ids for encoded, _ in jobs])
    for (encoded, wanted), name, frozen in zip(jobs, names, frozen_all, strict=True):
        logits = resolve(model, frozen, wanted)
        traced = trace(model, frozen, logits, skip_first=encoded.special_first_token)
        yield _Prompt(encoded, name, logits, traced)


def trace(model: ReplacementModel, frozen: Frozen, logits: Logits, *, skip_first: bool) -> Traced:
    """Steps 1, 2 and 4 for one prompt."""
    active = model.transcoders.encode(model.read(frozen), skip_first=skip_first)
    return Traced(
        frozen,
        active,
        sources(model, frozen, active, skip_first=skip_first),
        starts(model, frozen, active, logits.directions, logits.positions),
    )


def _whole(
    model: ReplacementModel, prompts: Iterable[_Prompt], limit: int | None, batch_size: int
) -> list[AttributionGraph]:
    """Steps 5 and 6 as matrices. Without a limit, prompts are taken as they are walked, then let go."""
    if limit is not None:
        prompts = list(prompts)
        if many := [one for one in prompts if one.n_active > limit]:
            few = [one for one in prompts if one.n_active <= limit]
            limited = iter(_limited(model, many, limit, batch_size))
            whole = iter(_whole(model, few, limit, batch_size))
            return [next(limited if one.n_active > limit else whole) for one in prompts]
    found: list[AttributionGraph] = []

    def work() -> Iterator[tuple[Traced, Tensor]]:
        for one in prompts:
            size = one.traced.n_inputs + len(one.logits.ids)
            # Rows of errors and tokens are never written: their pages take no memory.
            matrix = torch.zeros(size, size, dtype=one.traced.starts.gradient.dtype)
            found.append(
                AttributionGraph(adjacency=matrix, **one.about(model, torch.arange(one.n_active), limit))
            )
            yield one.traced, torch.arange(len(one.traced.starts.layer))

    for number, places, rows in effects(model, work(), batch_size):
        graph, n_inputs = found[number], rows.shape[1]
        n = int(torch.searchsorted(places, graph.n_features))
        if n and int(places[n - 1] - places[0]) == n - 1:
            graph.adjacency[int(places[0]) : int(places[0]) + n, :n_inputs] = rows[:n]
        else:
            graph.adjacency[places[:n], :n_inputs] = rows[:n]
        graph.adjacency[places[n:] + (n_inputs - graph.n_features), :n_inputs] = rows[n:]
    return found


def _limited(
    model: ReplacementModel, prompts: Sequence[_Prompt], limit: int, batch_size: int
) -> list[AttributionGraph]:
    """The same with the most influential features only; each prompt has more than the limit."""
    rows = [
        Rows(model, one.traced, batch_size=batch_size, most=limit + len(one.logits.ids)) for one in prompts
    ]
    selected = most_influential(rows, [one.logits.probabilities.cpu() for one in prompts], limit)
    found = []
    for one, source, kept in zip(prompts, rows, selected, strict=True):
        graph = StreamedGraph(source=source, **one.about(model, kept, limit))
        matrix = graph.among(torch.arange(graph.n_nodes))
        found.append(AttributionGraph(adjacency=matrix, **one.about(model, kept, limit)))
    return found


def _streamed(
    model: ReplacementModel, one: _Prompt, limit: int | None, batch_size: int, room: int
) -> StreamedGraph:
    """One prompt whose matrix is too large."""
    most = None if limit is None else limit + len(one.logits.ids)
    source = Rows(model, one.traced, batch_size=batch_size, room=room, most=most)
    selected = torch.arange(source.n_active)
    if limit is not None and source.n_active > limit:
        (selected,) = most_influential([source], [one.logits.probabilities.cpu()], limit)
    return StreamedGraph(source=source, **one.about(model, selected, limit))


def _check(**settings: int | None) -> None:
    for name, value in settings.items():
        if value is not None and value < 1:
            raise SettingError(f"{name} is {value}", next_step="give a whole number from 1 up")
