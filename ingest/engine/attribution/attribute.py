"""Attribution by a hand-written backward pass ("Circuit Tracing", Anthropic 2025, "Attribution graphs").

For one prompt, attention patterns and norm scales are frozen. Each MLP's output is written as the sum of what
the active features f write, a bias and an error: y_l = Σ_f a_f d_{f→l} + b_l + e_l. Every node is then a
linear function of the nodes below it. The direct effect of a source on a target t is a dot product of what
the source writes with the gradient g of t:

    A[t, f] = a_f Σ_l g_{t,l}[p_f] · d_{f→l}   A[t, e_{l,p}] = g_{t,l}[p] · e_{l,p}   A[t, x_p] = g_t[p] · x_p

Steps
1. Run the model once. Record attention patterns, norm scales, and the MLPs' inputs and outputs. Encode the
   MLPs' inputs with the transcoders, which gives the active features.
2. Compute what each layer wrote. A feature writes its decoder vector times its activation. The error is what
   the features and the bias leave of the MLP's output.
3. Express the targets as directions (`ingest.engine.attribution.targets`). The default targets are the most
   probable next tokens.
4. Start a gradient for every target. A logit's gradient is its direction, taken back through the last norm.
   A feature's gradient is its encoder vector, taken back through the norm before its MLP.
5. Walk all gradients down the layers together. At each layer, score the gradients against what was written
   there, let the targets of this layer join, and add the path through attention. At the bottom, score the
   gradients against the tokens x.
6. Put rows and columns in the order of the graph.

Steps 2, 4 and 5 are in `ingest.engine.attribution.walk`. A target at position p depends on positions ≤ p
only, so batches are sorted by position and cut after their last position. When memory is bounded and the
matrix of a graph does not fit, steps 5 and 6 run on demand, when rows of the graph are requested
(`ingest.engine.attribution.streamed`). With a limit of features, few sources are left, and step 5 stops where
gradients meet what was written below (`ingest.engine.attribution.meet`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ingest.engine.attribution import select
from ingest.engine.attribution.budget import Budget
from ingest.engine.attribution.graph import AttributionGraph, GraphNodes
from ingest.engine.attribution.meet import meeting, met
from ingest.engine.attribution.rows import TargetRows
from ingest.engine.attribution.streamed import StreamedGraph
from ingest.engine.attribution.targets import DEFAULT, Logits, Named, PromptTargets, Target, named, resolve
from ingest.engine.attribution.walk import Traced, effects, sources, starts
from ingest.engine.errors import SettingError
from ingest.engine.replacement.model import Encoded, ReplacementModel
from ingest.engine.replacement.record import Frozen

BATCH_SIZE = 512
"""Number of targets that walk together. A larger batch has less overhead, but it takes more memory and can
be cut less closely after its last position."""

TOGETHER = 1 << 29
"""Bytes that prompts may take together besides their walk, when no limit of memory is given. A prompt that
takes more is computed alone. More prompts are hardly faster, because a large prompt fills its batches."""


def attribute(
    model: ReplacementModel,
    prompt: str | Sequence[int],
    targets: Sequence[Target] = DEFAULT,
    *,
    first_token: str | None = None,
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
    jobs: Sequence[PromptTargets],
    *,
    max_feature_nodes: int | None = None,
    batch_size: int = BATCH_SIZE,
) -> list[AttributionGraph]:
    """The attribution graphs of several prompts, each with its own targets, computed together.

    jobs: prompts and their targets; prompts of similar length are fastest. max_feature_nodes: the largest
    number of features per graph, None for no limit; the most influential features are kept, as ranked on the
    rows known so far. batch_size: the number of targets that walk together; it changes speed and memory only.
    Raises PromptError for a prompt that cannot be attributed, SettingError for an argument out of range.
    """
    _check(max_feature_nodes=max_feature_nodes, batch_size=batch_size)
    return _whole(model, _ready(model, jobs), max_feature_nodes, batch_size)


def attribute_each(
    model: ReplacementModel,
    jobs: Sequence[PromptTargets],
    *,
    max_feature_nodes: int | None = None,
    batch_size: int = BATCH_SIZE,
    memory: int | None = None,
) -> Iterator[GraphNodes]:
    """The attribution graphs of several prompts, one after another, within a limit of memory.

    memory: bytes that may be used besides the model; None for no limit. Prompts whose matrices fit are
    computed together, without a limit as many as `TOGETHER` holds. A graph whose matrix does not fit is
    streamed. Prune each graph and release it before requesting the next one. The last bits of a graph depend
    on the prompts that it is computed with, and these on `jobs` alone. Raises SettingError when the memory
    does not hold one gradient, and the errors of `attribute_many`.
    """
    _check(max_feature_nodes=max_feature_nodes, batch_size=batch_size, memory=memory)
    budget = Budget(model, TOGETHER if memory is None else memory, batch_size, max_feature_nodes)

    def fits(prompts: list[_Prompt]) -> int:
        """The batch size with which prompts are computed together; 0 when they do not fit."""
        traced = [prompt.traced for prompt in prompts]
        if memory is not None:
            return budget.whole(traced)
        return batch_size if len(traced) == 1 or budget.holds(traced) else 0

    waiting: list[_Prompt] = []
    size = batch_size
    for group in budget.groups(jobs):
        for one in _ready(model, group):
            together = fits([*waiting, one])
            if waiting and not together:
                yield from _whole(model, waiting, max_feature_nodes, size)
                waiting, together = [], fits([one])
            if together:
                waiting.append(one)
                size = together
                if memory is None and not fits([*waiting, one]):
                    # The next prompt, if it is as large, must not be in memory beside these.
                    yield from _whole(model, waiting, max_feature_nodes, size)
                    waiting = []
            else:
                yield _streamed(model, one, max_feature_nodes, *budget.streaming(one.traced))
    if waiting:
        yield from _whole(model, waiting, max_feature_nodes, size)


@dataclass(frozen=True, eq=False)
class _Prompt:
    """One prompt with its targets after steps 1 to 4."""

    encoded: Encoded
    name: Named
    logits: Logits
    traced: Traced

    @property
    def n_active(self) -> int:
        return len(self.traced.active.activation)

    def about(self, model: ReplacementModel, selected: Tensor, limit: int | None) -> dict[str, Any]:
        """The fields of `GraphNodes`."""
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
            "n_left_out": self.encoded.n_left_out,
            "max_feature_nodes": None if len(selected) == self.n_active else limit,
            "dtype": str(model.dtype).removeprefix("torch."),
        }


def _ready(model: ReplacementModel, jobs: Sequence[PromptTargets]) -> Iterator[_Prompt]:
    """Steps 1 to 4. The model runs once on all prompts; the other steps run for each prompt on demand."""
    names = [named(model, encoded, wanted) for encoded, wanted in jobs]
    frozen_all = model.freeze_many([encoded.ids for encoded, _ in jobs])
    for (encoded, wanted), name, frozen in zip(jobs, names, frozen_all, strict=True):
        logits = resolve(model, frozen, wanted)
        traced = trace(model, frozen, logits, n_left_out=encoded.n_left_out)
        yield _Prompt(encoded, name, logits, traced)


def trace(model: ReplacementModel, frozen: Frozen, logits: Logits, *, n_left_out: int) -> Traced:
    """Steps 1 (encoding), 2 and 4 for one prompt on which the model has run.

    n_left_out: number of positions at the start whose features and errors are left out.
    """
    active = model.transcoders.encode(model.read(frozen), n_left_out=n_left_out)
    return Traced(
        frozen,
        active,
        sources(model, frozen, active, n_left_out=n_left_out),
        starts(model, frozen, active, logits.directions, logits.positions),
    )


def _whole(
    model: ReplacementModel, prompts: Iterable[_Prompt], limit: int | None, batch_size: int
) -> list[AttributionGraph]:
    """Steps 5 and 6 for graphs held as matrices.

    Each prompt is taken from the iterable when its walk starts, and released after it. Prompts with more
    features than the limit are kept and walked at the end.
    """
    many: dict[int, _Prompt] = {}
    found: dict[int, AttributionGraph] = {}

    def few() -> Iterator[_Walked]:
        for number, one in enumerate(prompts):
            if limit is not None and one.n_active > limit:
                many[number] = one
            else:
                yield _Walked(number, one.traced, one.about(model, torch.arange(one.n_active), limit))

    _walk_into(found, model, few(), batch_size)
    if limit is not None and many:
        _limited(found, model, many, limit, batch_size)
    return [found[number] for number in sorted(found)]


class _Walked(NamedTuple):
    """A prompt whose features are all walked."""

    number: int
    """Its place in the list of graphs."""
    traced: Traced
    about: dict[str, Any]
    """The fields of its graph, without the matrix."""


def _walk_into(
    found: dict[int, AttributionGraph], model: ReplacementModel, work: Iterable[_Walked], batch_size: int
) -> None:
    """Put the graphs of prompts into `found`, by number."""
    walked: list[int] = []

    def traced() -> Iterator[tuple[Traced, Tensor]]:
        for number, one, about in work:
            size = one.n_inputs + len(one.starts.logits)
            # Rows of errors and tokens are never written, so their pages take no memory.
            matrix = torch.zeros(size, size, dtype=one.starts.logits.dtype)
            found[number] = AttributionGraph(adjacency=matrix, **about)
            walked.append(number)
            yield one, torch.arange(len(one.starts.layer))

    for number, places, rows in effects(model, traced(), batch_size):
        graph, n_inputs = found[walked[number]], rows.shape[1]
        n = int(torch.searchsorted(places, graph.n_features))
        if n and int(places[n - 1] - places[0]) == n - 1:
            graph.adjacency[int(places[0]) : int(places[0]) + n, :n_inputs] = rows[:n]
        else:
            graph.adjacency[places[:n], :n_inputs] = rows[:n]
        graph.adjacency[places[n:] + (n_inputs - graph.n_features), :n_inputs] = rows[n:]


def _met(model: ReplacementModel, walked: _Walked, bottom: int, batch_size: int) -> AttributionGraph:
    """The graph of one prompt whose walks meet before the layer `bottom`."""
    traced = walked.traced
    n_features, n_inputs = len(traced.active.activation), traced.n_inputs
    size = n_inputs + len(traced.starts.logits)
    matrix = torch.zeros(size, size, dtype=traced.starts.logits.dtype)
    for targets, rows in met(model, traced, bottom, batch_size):
        nodes = torch.where(targets < n_features, targets, targets - n_features + n_inputs)
        matrix[nodes, :n_inputs] = rows
    return AttributionGraph(adjacency=matrix, **walked.about)


def _limited(
    found: dict[int, AttributionGraph],
    model: ReplacementModel,
    prompts: dict[int, _Prompt],
    limit: int,
    batch_size: int,
) -> None:
    """Put the graphs of prompts with more features than the limit into `found`, by number.

    The features of a single ranking are walked afterwards, against each other alone. Those of several
    rankings were walked against all features already.
    """
    single = limit <= select.RANK_EVERY
    most = 0 if single else limit
    rows = [
        TargetRows(model, one.traced, batch_size=batch_size, most=most + len(one.logits.ids))
        for one in prompts.values()
    ]
    selected = select.most_influential(
        rows, [one.logits.probabilities.cpu() for one in prompts.values()], limit
    )
    chosen = dict(zip(prompts, selected, strict=True))
    if single:
        several = []
        for number, one in prompts.items():
            about = one.about(model, chosen[number], limit)
            among = _Walked(number, one.traced.among(model, chosen[number]), about)
            if bottom := meeting(model, among.traced, batch_size):
                try:
                    found[number] = _met(model, among, bottom, batch_size)
                    continue
                except torch.OutOfMemoryError:
                    pass  # The walk below needs less memory, and makes its batches smaller.
            several.append(among)
        _walk_into(found, model, several, batch_size)
        return
    for (number, one), source in zip(prompts.items(), rows, strict=True):
        about = one.about(model, chosen[number], limit)
        graph = StreamedGraph(source=source, **about)
        found[number] = AttributionGraph(adjacency=graph.among(torch.arange(graph.n_nodes)), **about)


def _streamed(
    model: ReplacementModel, one: _Prompt, limit: int | None, batch_size: int, room: int
) -> StreamedGraph:
    """The graph of one prompt whose matrix does not fit into memory."""
    most = None if limit is None else limit + len(one.logits.ids)
    source = TargetRows(model, one.traced, batch_size=batch_size, room=room, most=most)
    selected = torch.arange(source.n_active)
    if limit is not None and source.n_active > limit:
        (selected,) = select.most_influential([source], [one.logits.probabilities.cpu()], limit)
    return StreamedGraph(source=source, **one.about(model, selected, limit))


def _check(**settings: int | None) -> None:
    for name, value in settings.items():
        if value is not None and value < 1:
            raise SettingError(f"{name} is {value}", next_step="give a whole number from 1 up")
