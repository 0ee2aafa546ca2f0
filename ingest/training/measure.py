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
from itertools import pairwise

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


def measure(
    model: ReplacementModel,
    texts: Sequence[Encoded],
    *,
    agreement_tokens: int | None = None,
    groups: Mapping[str, Collection[int]],
    begin: Callable[[int], Callable[[], object]] = lambda n_passes: lambda: None,
) -> MeasuredSet:
    """Measure the transcoders of a model on contexts.

    agreement_tokens: tokens after which no further contexts are used for agreement, or None for all. groups:
    name → layers that are replaced together. begin: is called with the number of forward passes, and what it
    returns after each of them. When a batch does not fit into the device's memory, everything is measured
    again in batches of half its size. Raises ModelError for a context that does not fit alone.
    """
    together = TOGETHER
    while True:
        found = None
        try:
            found = _measured(model, texts, together, agreement_tokens, groups, begin)
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
    groups: Mapping[str, Collection[int]],
    begin: Callable[[int], Callable[[], object]],
) -> MeasuredSet:
    batches = list(_batches(model, texts, together))
    few = _first(batches, agreement_tokens)
    step = begin(len(batches) + len(few) * (1 + 2 * len(groups)))
    rebuilt = _Rebuilt(model)
    for batch in batches:
        rebuilt.add(batch)
        step()
    replacements = list(_replacements(model, few, groups, rebuilt.mean, step))
    return MeasuredSet(
        tokens=sum(int(batch.wanted.sum()) for batch in batches),
        contexts=len(texts),
        layers=rebuilt.rows(),
        agreement_tokens=sum(int(batch.asked.sum()) for batch in few),
        replacements=replacements,
    )


class _Batch:
    """Some contexts as one matrix, padded on the right, which a causal model never sees."""

    def __init__(self, model: ReplacementModel, texts: Sequence[Encoded]) -> None:
        longest = max(len(each.ids) for each in texts)

        def matrix(rows: list[list[int]], device: torch.device) -> Tensor:
            return torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows], device=device)

        self.ids = matrix([list(each.ids) for each in texts], model.device)
        self.wanted = matrix(
            [[int(c) for c in positions_counted(model, each)] for each in texts], model.device
        ).bool()
        """(row, position): where transcoders are measured and replace the MLP"""
        follows = matrix([[1] * (len(each.ids) - 1) + [0] for each in texts], model.device).bool()
        self.asked = self.wanted & follows
        """(row, position): where the prediction is compared, because a token follows"""
        self.following = torch.roll(self.ids, -1, 1)[self.asked]
        """(n_asked,) the token that follows"""


def _batches(model: ReplacementModel, texts: Sequence[Encoded], together: int) -> Iterator[_Batch]:
    for start in range(0, len(texts), together):
        yield _Batch(model, texts[start : start + together])


def _first(batches: Sequence[_Batch], most: int | None) -> list[_Batch]:
    kept, total = [], 0
    for batch in batches:
        if most is not None and total >= most:
            break
        kept.append(batch)
        total += int(batch.asked.sum())
    return kept


class _Rebuilt:
    """Sums over tokens, from which FVU, L0 and densities follow. Ordinary tokens are also summed alone."""

    def __init__(self, model: ReplacementModel) -> None:
        self._model = model
        shape = (model.n_layers, 2)
        self._n, self._error, self._square = (
            torch.zeros(shape, dtype=torch.float64, device=model.device) for _ in range(3)
        )
        self._sum = torch.zeros(*shape, model.d_model, dtype=torch.float64, device=model.device)
        self._fires = [
            torch.zeros(layer.n_features, dtype=torch.int64, device=model.device)
            for layer in model.transcoders.layers
        ]
        self._limit: list[float] = []
        """The largest size of an ordinary output in each layer, from the first batch."""

    @property
    def mean(self) -> Tensor:
        """(layer, d_model) mean output of each MLP"""
        return (self._sum[:, 0] / self._n[:, :1]).float()

    @torch.inference_mode()
    def add(self, batch: _Batch) -> None:
        """Count the tokens of a batch."""
        model, rebuild = self._model, Reconstruction(self._model)
        guesses: list[Tensor] = []

        def compare(number: int, read: Tensor) -> Tensor:
            guesses.append(rebuild(number, read))
            self._fires[number] += (rebuild.activation != 0).sum(0)
            return guesses[-1]

        # No layer is replaced, but the reconstruction of each one is asked for.
        with (
            recorded(model) as (_, outputs),
            replaced(model, (), compare, batch.wanted, asked=range(model.n_layers)),
            precise(model.dtype),
        ):
            model.model.base_model(input_ids=batch.ids, use_cache=False)
        for number, (output, guess) in enumerate(zip(outputs, guesses, strict=True)):
            y = output[batch.wanted].double()
            check_finite(model, number, y)
            error, size = (y - guess.double()).square().sum(1), y.norm(dim=1)
            if number == len(self._limit):
                self._limit.append(OUTLIER * float(size.median()))
            for column, rows in enumerate((size >= 0, size <= self._limit[number])):
                self._n[number, column] += rows.sum()
                self._error[number, column] += error[rows].sum()
                self._square[number, column] += size[rows].square().sum()
                self._sum[number, column] += y[rows].sum(0)

    def rows(self) -> list[MeasuredLayer]:
        """The figures of each layer."""
        variance = self._square - self._sum.square().sum(2) / self._n
        found = []
        for number, fires in enumerate(self._fires):
            n, n_ordinary = self._n[number].tolist()
            share = fires.double() / n
            live = share[share > 0]
            found.append(
                MeasuredLayer(
                    layer=number,
                    fvu=_ratio(*_pair(self._error, variance, number, 0)),
                    fvu_ordinary=_ratio(*_pair(self._error, variance, number, 1)),
                    outliers=round(n - n_ordinary),
                    l0=float(share.sum()),
                    features=len(fires),
                    dead=int((fires == 0).sum()),
                    density=float(live.median()) if len(live) else None,
                    dense=int((share >= DENSE).sum()),
                )
            )
        return found


def _pair(above: Tensor, below: Tensor, number: int, column: int) -> tuple[float, float]:
    return float(above[number, column]), float(below[number, column])


def _ratio(above: float, below: float) -> float | None:
    return above / below if below > 0 else None


@torch.inference_mode()
def _replacements(
    model: ReplacementModel,
    batches: Sequence[_Batch],
    groups: Mapping[str, Collection[int]],
    mean: Tensor,
    step: Callable[[], object],
) -> Iterator[MeasuredReplacement]:
    names = list(groups)
    rebuild, reused = Reconstruction(model), Reused(model)
    sums = torch.zeros(len(names), 4, dtype=torch.float64)
    model_loss, n = 0.0, 0
    for batch in batches:
        with reused.kept():
            own = _log_probabilities(model, batch)
        top = own.argmax(-1)
        n += len(top)
        model_loss += _loss(own, batch)
        step()
        for row, name in enumerate(names):
            layers = groups[name]
            with (
                reused.below(min(layers)),
                replaced(model, layers, rebuild, batch.wanted, asked=rebuild.asked(layers)),
            ):
                other = _log_probabilities(model, batch)
            sums[row, 0] += float((other.argmax(-1) == top).sum())
            sums[row, 1] += float((own.exp() * (own - other)).sum(dtype=torch.float64))
            sums[row, 2] += _loss(other, batch)
            step()
            del other
            with reused.below(min(layers)), replaced(model, layers, _means(mean), batch.wanted):
                sums[row, 3] += _loss(_log_probabilities(model, batch), batch)
            step()
    for name, (same, divergence, loss, loss_of_means) in zip(names, sums.tolist(), strict=True):
        recovered = _ratio(loss_of_means - loss, loss_of_means - model_loss)
        yield MeasuredReplacement(
            name=name,
            layers=sorted(groups[name]),
            agreement=same / n if n else None,
            kl=divergence / n if n else None,
            loss=loss / n if n else None,
            model_loss=model_loss / n if n else None,
            loss_recovered=recovered if recovered is not None and math.isfinite(recovered) else None,
        )


def _means(mean: Tensor) -> Instead:
    return lambda number, read: mean[number].expand(len(read), -1)


def _log_probabilities(model: ReplacementModel, batch: _Batch) -> Tensor:
    """(n_asked, vocab_size): log probabilities of the next token."""
    with precise(model.dtype):
        logits = model.model(input_ids=batch.ids, use_cache=False).logits[batch.asked]
    return torch.log_softmax(logits.float(), -1)


def _loss(log_probabilities: Tensor, batch: _Batch) -> float:
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
