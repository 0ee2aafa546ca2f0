"""Measures transcoders on texts: how well they rebuild what MLPs write, and how well they replace them.

1. On the real model: FVU, active features, dead features and density of each layer.
2. With MLPs replaced by transcoders: the agreement of the next-token predictions with the model's, for all
   layers, for each single layer, and for groups of layers.

The second is the stricter test, because each transcoder then reads what the others changed. It is what a
claim about the model rests on. The replacement score of a graph is not, because a graph's error nodes carry
on the model's own activations.

    FVU              Σ ‖y − ŷ‖² / Σ ‖y − mean y‖²
    loss recovered   (loss of means − loss of transcoders) / (loss of means − loss of the model), where
                     "means" is the model whose same MLPs write their mean output instead
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import reduce
from itertools import pairwise
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ingest.engine.replacement.memory import say_smaller
from ingest.engine.replacement.model import Encoded, ReplacementModel
from ingest.engine.replacement.precise import precise
from ingest.training.activations import check_finite, recorded
from ingest.training.replace import Instead, Reconstruction, Reused, replaced
from ingest.training.scale import OUTLIER
from ingest.training.texts import positions_counted
from schema.annotations.measured import MeasuredLayer, MeasuredReplacement, MeasuredSet

TOGETHER = 8
"""Contexts in one forward pass, when they fit into the device's memory."""
DENSE = 0.1
"""Least share of tokens on which a dense feature is active."""

Batch = Sequence[Encoded]
"""Contexts that are computed together."""
Groups = Mapping[str, Collection[int]]
"""Name → layers that are replaced together."""
Step = Callable[[], object]
"""Called after each forward pass."""


class Rebuilt(NamedTuple):
    """Sums over the tokens of a batch, from which FVU, L0 and densities follow.

    The second axis is: all tokens, ordinary tokens.
    """

    n: Tensor
    """(layer, 2) number of tokens"""
    error: Tensor
    """(layer, 2) sum of squared errors of the reconstruction"""
    square: Tensor
    """(layer, 2) sum of squared outputs of the MLP"""
    sum: Tensor
    """(layer, 2, d_model) sum of outputs of the MLP"""
    fires: tuple[Tensor, ...]
    """For each layer (n_features,): number of tokens on which each feature is active"""
    limits: list[float]
    """The largest size of an ordinary output in each layer."""

    def plus(self, other: "Rebuilt") -> "Rebuilt":
        """The sums over both batches."""
        return Rebuilt(
            self.n + other.n,
            self.error + other.error,
            self.square + other.square,
            self.sum + other.sum,
            tuple(one + two for one, two in zip(self.fires, other.fires, strict=True)),
            self.limits,
        )


class Replaced(NamedTuple):
    """Sums over the places of a batch at which predictions are compared."""

    n: int
    model_loss: float
    of_groups: Tensor
    """(group, 4) of the replaced model: places with the model's most probable token, KL, loss, and the loss
    of the model whose MLPs write their mean output"""


class Passes(Protocol):
    """Runs the forward passes, in this process or on others."""

    def rebuild(self, batches: Sequence[Batch], step: Step) -> Iterator[Rebuilt]:
        """The sums of each batch, in order. The limits of all are those of the first batch."""
        ...

    def replace(
        self, batches: Sequence[Batch], groups: Groups, mean: Tensor, step: Step
    ) -> Iterator[Replaced]:
        """The sums of each batch, in order. mean: (layer, d_model) mean output of each MLP."""
        ...


class PassesHere:
    """Runs the forward passes in this process."""

    def __init__(self, model: ReplacementModel) -> None:
        self._model = model

    def rebuild(self, batches: Sequence[Batch], step: Step) -> Iterator[Rebuilt]:
        limits = None
        for batch in batches:
            found = rebuilt(self._model, batch, limits)
            limits = found.limits
            step()
            yield found

    def replace(
        self, batches: Sequence[Batch], groups: Groups, mean: Tensor, step: Step
    ) -> Iterator[Replaced]:
        for batch in batches:
            yield with_replaced(self._model, batch, groups, mean, step)


def measure(
    model: ReplacementModel,
    texts: Sequence[Encoded],
    *,
    agreement_tokens: int | None = None,
    groups: Groups,
    begin: Callable[[int], Step] = lambda n_passes: lambda: None,
    passes: Passes | None = None,
) -> MeasuredSet:
    """Measure the transcoders of a model on contexts.

    agreement_tokens: tokens after which no further contexts are used for agreement, or None for all. begin:
    is called with the number of forward passes, and what it returns after each of them. passes: runs them;
    None for this process. When a batch does not fit into the device's memory, everything is measured again in
    batches of half its size. Raises ModelError for a context that does not fit alone.
    """
    together = TOGETHER
    while True:
        found = None
        try:
            found = _measured(
                model, texts, together, agreement_tokens, groups, begin, passes or PassesHere(model)
            )
        except torch.OutOfMemoryError as error:
            if together == 1:
                raise model.too_long(max(len(each.ids) for each in texts)) from error
        if found is not None:
            return found
        # This is outside the handler, because the error keeps alive the tensors that did not fit.
        say_smaller(model.device, together, together // 2)
        together //= 2


def _measured(
    model: ReplacementModel,
    texts: Sequence[Encoded],
    together: int,
    agreement_tokens: int | None,
    groups: Groups,
    begin: Callable[[int], Step],
    passes: Passes,
) -> MeasuredSet:
    batches = [texts[start : start + together] for start in range(0, len(texts), together)]
    few = _first(model, batches, agreement_tokens)
    step = begin(len(batches) + len(few) * passes_of(groups))
    of_all = reduce(Rebuilt.plus, passes.rebuild(batches, step))
    mean = (of_all.sum[:, 0] / of_all.n[:, :1]).float()
    compared = list(passes.replace(few, groups, mean, step))
    return MeasuredSet(
        tokens=int(of_all.n[0, 0]),
        contexts=len(texts),
        layers=_layers(of_all),
        agreement_tokens=sum(each.n for each in compared),
        replacements=list(_replacements(groups, compared)),
    )


def passes_of(groups: Groups) -> int:
    """How many forward passes compare the predictions of a batch."""
    return 1 + 2 * len(groups)


def _first(model: ReplacementModel, batches: Sequence[Batch], most: int | None) -> list[Batch]:
    """The batches that have `most` places at which predictions are compared, or all."""
    kept, total = list[Batch](), 0
    for batch in batches:
        if most is not None and total >= most:
            break
        kept.append(batch)
        total += sum(int(sum(positions_counted(model, each)[:-1])) for each in batch)
    return kept


class _Matrix:
    """A batch as one matrix, padded on the right, which a causal model never sees."""

    def __init__(self, model: ReplacementModel, texts: Batch) -> None:
        longest = max(len(each.ids) for each in texts)

        def matrix(rows: list[list[int]]) -> Tensor:
            return torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows], device=model.device)

        self.ids = matrix([list(each.ids) for each in texts])
        self.wanted = matrix([[int(c) for c in positions_counted(model, each)] for each in texts]).bool()
        """(row, position): where transcoders are measured and replace the MLP"""
        follows = matrix([[1] * (len(each.ids) - 1) + [0] for each in texts]).bool()
        self.asked = self.wanted & follows
        """(row, position): where the prediction is compared, because a token follows"""
        self.following = torch.roll(self.ids, -1, 1)[self.asked]
        """(n_asked,) the token that follows"""


@torch.inference_mode()
def rebuilt(model: ReplacementModel, texts: Batch, limits: list[float] | None) -> Rebuilt:
    """The sums of a batch, on the CPU. limits: of the first batch; None for this one."""
    batch, rebuild = _Matrix(model, texts), Reconstruction(model)
    n, error, square = (torch.zeros(model.n_layers, 2, dtype=torch.float64) for _ in range(3))
    sums = torch.zeros(model.n_layers, 2, model.d_model, dtype=torch.float64)
    guesses: list[Tensor] = []
    fires: list[Tensor] = []

    def compare(number: int, read: Tensor) -> Tensor:
        guesses.append(rebuild(number, read))
        fires.append((rebuild.activation != 0).sum(0).cpu())
        return guesses[-1]

    # No layer is replaced, but the reconstruction of each one is asked for.
    with (
        recorded(model) as (_, outputs),
        replaced(model, (), compare, batch.wanted, asked=range(model.n_layers)),
        precise(model.dtype),
    ):
        model.model.base_model(input_ids=batch.ids, use_cache=False)
    used = []
    for number, (output, guess) in enumerate(zip(outputs, guesses, strict=True)):
        y = output[batch.wanted].double()
        check_finite(model, number, y)
        missed, size = (y - guess.double()).square().sum(1), y.norm(dim=1)
        used.append(OUTLIER * float(size.median()) if limits is None else limits[number])
        for column, rows in enumerate((size >= 0, size <= used[number])):
            n[number, column] = rows.sum()
            error[number, column] = missed[rows].sum()
            square[number, column] = size[rows].square().sum()
            sums[number, column] = y[rows].sum(0)
    return Rebuilt(n, error, square, sums, tuple(fires), used)


def _layers(found: Rebuilt) -> list[MeasuredLayer]:
    """The figures of each layer."""
    variance = found.square - found.sum.square().sum(2) / found.n
    layers = []
    for number, fires in enumerate(found.fires):
        n, n_ordinary = found.n[number].tolist()
        share = fires.double() / n
        live = share[share > 0]
        layers.append(
            MeasuredLayer(
                layer=number,
                fvu=_ratio(*_pair(found.error, variance, number, 0)),
                fvu_ordinary=_ratio(*_pair(found.error, variance, number, 1)),
                outliers=round(n - n_ordinary),
                l0=float(share.sum()),
                features=len(fires),
                dead=int((fires == 0).sum()),
                density=float(live.median()) if len(live) else None,
                dense=int((share >= DENSE).sum()),
            )
        )
    return layers


def _pair(above: Tensor, below: Tensor, number: int, column: int) -> tuple[float, float]:
    return float(above[number, column]), float(below[number, column])


def _ratio(above: float, below: float) -> float | None:
    return above / below if below > 0 else None


@torch.inference_mode()
def with_replaced(
    model: ReplacementModel, texts: Batch, groups: Groups, mean: Tensor, step: Step = lambda: None
) -> Replaced:
    """The sums of a batch. mean: (layer, d_model); step: called after each of the `passes_of(groups)`."""
    batch, rebuild, reused = _Matrix(model, texts), Reconstruction(model), Reused(model)
    instead = _means(mean.to(model.device))
    with reused.kept():
        own = _log_probabilities(model, batch)
    top = own.argmax(-1)
    step()
    sums = torch.zeros(len(groups), 4, dtype=torch.float64)
    for row, layers in enumerate(groups.values()):
        with (
            reused.below(min(layers)),
            replaced(model, layers, rebuild, batch.wanted, asked=rebuild.asked(layers)),
        ):
            other = _log_probabilities(model, batch)
        sums[row, 0] = float((other.argmax(-1) == top).sum())
        sums[row, 1] = float((own.exp() * (own - other)).sum(dtype=torch.float64))
        sums[row, 2] = _loss(other, batch)
        step()
        del other
        with reused.below(min(layers)), replaced(model, layers, instead, batch.wanted):
            sums[row, 3] = _loss(_log_probabilities(model, batch), batch)
        step()
    return Replaced(len(top), _loss(own, batch), sums)


def _replacements(groups: Groups, compared: Sequence[Replaced]) -> Iterator[MeasuredReplacement]:
    """The figures of each group."""
    n = sum(each.n for each in compared)
    model_loss = sum(each.model_loss for each in compared)
    sums = sum((each.of_groups for each in compared), torch.zeros(len(groups), 4, dtype=torch.float64))
    for (name, layers), (same, divergence, loss, loss_of_means) in zip(
        groups.items(), sums.tolist(), strict=True
    ):
        recovered = _ratio(loss_of_means - loss, loss_of_means - model_loss)
        yield MeasuredReplacement(
            name=name,
            layers=sorted(layers),
            agreement=same / n if n else None,
            kl=divergence / n if n else None,
            loss=loss / n if n else None,
            model_loss=model_loss / n if n else None,
            loss_recovered=recovered if recovered is not None and math.isfinite(recovered) else None,
        )


def _means(mean: Tensor) -> Instead:
    return lambda number, read: mean[number].expand(len(read), -1)


def _log_probabilities(model: ReplacementModel, batch: _Matrix) -> Tensor:
    """(n_asked, vocab_size): log probabilities of the next token."""
    with precise(model.dtype):
        logits = model.model(input_ids=batch.ids, use_cache=False).logits[batch.asked]
    return torch.log_softmax(logits.float(), -1)


def _loss(log_probabilities: Tensor, batch: _Matrix) -> float:
    return float(-log_probabilities.gather(1, batch.following[:, None]).sum(dtype=torch.float64))


def layer_groups(n_layers: int, *, singles: bool = True, n_groups: int = 3) -> dict[str, range]:
    """The groups that are measured by default: all layers, parts of about equal size, and single layers."""
    found = {"all": range(n_layers)}
    cuts = [round(n_layers * i / n_groups) for i in range(n_groups + 1)]
    for start, stop in pairwise(cuts):
        if 0 < stop - start < n_layers:
            found[f"{start}-{stop - 1}" if stop - start > 1 else str(start)] = range(start, stop)
    if singles:
        found |= {str(layer): range(layer, layer + 1) for layer in range(n_layers)}
    return found
