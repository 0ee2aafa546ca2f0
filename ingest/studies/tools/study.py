"""What a study found: success rates of interventions, and other measured numbers."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from ingest.engine.replacement.model import ReplacementModel
from ingest.studies.tools.prompts import Needs, Prompts
from ingest.studies.tools.trials import Rate
from schema.errors import InputError


class StudyFinding(NamedTuple):
    """A measured number that is no rate of an intervention."""

    what: str
    """In words."""
    value: float
    null: float | None
    """The same for what should not have it; None when the number stands by itself."""
    n: int
    """Prompts, pairs or features it was measured on."""

    def row(self) -> dict[str, Any]:
        """For tables and JSON."""
        return self._asdict()


class Curve(NamedTuple):
    """A number that changes over training."""

    what: str
    """In words."""
    points: list[tuple[int, float]]
    """Training steps, and the number at each."""
    group: str
    """What it is about; curves of one group are drawn together."""

    def row(self) -> dict[str, Any]:
        """For tables and JSON."""
        return self._asdict()


class Grid(NamedTuple):
    """What a feature does over all pairs of two numbers: an operand plot."""

    what: str
    """In words."""
    values: Tensor
    """(rows, columns) activations"""


class AblationEffect(NamedTuple):
    """What one family loses when one part of the model is ablated."""

    part: str
    size: int
    """Features of the part."""
    family: str
    share: float
    """Of the family's feature influence that the part has in circuits."""
    accuracy: float
    """Under the ablation; without it 1, as only prompts answered rightly are tried."""
    null_accuracy: float
    """With random features of the same layers and positions that write as much."""
    drop: float
    """Mean fall of the right answer's logit, less the mean over the vocabulary."""
    null_drop: float
    n: int
    """Held-out prompts."""
    edited: float
    """Feature activations that were edited in one prompt, on average."""
    active: float
    """Feature activations in one such prompt, all positions, on average."""

    def row(self) -> dict[str, Any]:
        """For tables and JSON."""
        return self._asdict()


class StudyResult(NamedTuple):
    """All that one study measured."""

    rates: list[Rate]
    findings: list[StudyFinding]
    curves: Sequence[Curve] = ()
    grids: Sequence[Grid] = ()
    effects: Sequence[AblationEffect] = ()


class Study(NamedTuple):
    """One study of "On the Biology of a Large Language Model", as something to run again."""

    name: str
    title: str
    asks: str
    """The question, one sentence."""
    run: Callable[[ReplacementModel, Prompts], StudyResult]
    needs: Sequence[Needs] = (Needs(),)
    """What its prompts must have."""

    def on(self, model: ReplacementModel, prompts: Prompts) -> StudyResult:
        """Run it. Raises InputError that says what the prompts lack, before anything runs."""
        prompts.check(self.name, self.needs)
        if not prompts.are_bundled and any(need.phrases for need in self.needs):
            _words_are_tokens(self.name, model, prompts)
        return self.run(model, prompts)


def _words_are_tokens(study: str, model: ReplacementModel, prompts: Prompts) -> None:
    prompt = next(item.prompt for parts in prompts.families.values() for part in parts for item in part)
    encoded = model.encode(prompt)
    n = len(encoded.ids) - encoded.special_first_token
    if n != len(prompt.split()):
        raise InputError(
            f"The study {study} finds its way by words, and this model's tokens are none: {prompt!r} has "
            f"{len(prompt.split())} words and {n} tokens",
            next_step="run it on a model whose tokenizer has a token for each word, as the bundled one",
        )


def auroc(positive: list[float], negative: list[float]) -> float:
    """Share of pairs in which the positive scores higher; ties count half. NaN when one side is empty."""
    pairs = len(positive) * len(negative)
    higher = sum((p > n) + (p == n) / 2 for p in positive for n in negative)
    return higher / pairs if pairs else float("nan")
