"""What a study is, and what its result consists of: success rates of interventions and other numbers."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sklearn.metrics import roc_auc_score
from torch import Tensor

from ingest.engine.replacement.model import ReplacementModel
from ingest.studies.tools.prompts import Needs, Prompts
from ingest.studies.tools.trials import Rate


class StudyFinding(NamedTuple):
    """A measured number that is not the success rate of an intervention."""

    what: str
    """What was measured, in words."""
    value: float
    null: float | None
    """The number measured on a control that should not show the effect; None when there is no control."""
    n: int
    """Number of prompts, pairs or features that it was measured on."""

    def row(self) -> dict[str, Any]:
        """The fields as a row of a table or a JSON object."""
        return self._asdict()


class Curve(NamedTuple):
    """A number that changes over training."""

    what: str
    """What was measured, in words."""
    points: list[tuple[int, float]]
    """(training step, value) pairs, by step."""
    group: str
    """The subject. Curves with the same group are drawn into one figure."""

    def row(self) -> dict[str, Any]:
        """The fields as a row of a table or a JSON object."""
        return self._asdict()


class Grid(NamedTuple):
    """An operand plot: the activations of a feature for all pairs of two operands."""

    what: str
    """The feature and its kind, in words."""
    values: Tensor
    """(first operand, second operand) activations"""


class AblationEffect(NamedTuple):
    """What one prompt family loses when one part of the model is ablated."""

    part: str
    """Name of the ablated part, such as `module 3`."""
    size: int
    """Number of features in the part."""
    family: str
    share: float
    """Share of the family's feature influence, 0 to 1, that goes through the part in circuits."""
    accuracy: float
    """Share of prompts answered correctly under the ablation, 0 to 1. Without it the share is 1, because only
    prompts that the model answers correctly are tried."""
    null_accuracy: float
    """The accuracy when random features of the same layers and positions, with equal output, are ablated."""
    drop: float
    """Mean fall of the correct answer's logit, relative to the mean logit of the vocabulary."""
    null_drop: float
    """The fall when random features are ablated."""
    n: int
    """Number of held-out prompts."""
    edited: float
    """Mean number of edited feature activations in one prompt."""
    active: float
    """Mean number of active feature activations in one prompt, over all positions."""

    def row(self) -> dict[str, Any]:
        """The fields as a row of a table or a JSON object."""
        return self._asdict()


class StudyResult(NamedTuple):
    """Everything that one study measured."""

    rates: list[Rate]
    """Success rates of interventions."""
    findings: list[StudyFinding]
    """Other measured numbers."""
    curves: Sequence[Curve] = ()
    """Numbers over training."""
    grids: Sequence[Grid] = ()
    """Operand plots."""
    effects: Sequence[AblationEffect] = ()
    """Effects of ablating parts on families."""


class Study(NamedTuple):
    """One study, such as those of "On the Biology of a Large Language Model" (Anthropic 2025)."""

    name: str
    """Name on the command line, and of the files with its result, page and figure."""
    title: str
    """Heading of its page."""
    asks: str
    """The question that the study answers, in one sentence."""
    run: Callable[[ReplacementModel, Prompts], StudyResult]
    """Runs the study on a model and prompts."""
    needs: Sequence[Needs] = (Needs(),)
    """What its prompts must have; checked before anything runs."""

    def on(self, model: ReplacementModel, prompts: Prompts) -> StudyResult:
        """Run the study. Raises InputError that says what the prompts lack, before anything runs."""
        prompts.check(self.name, self.needs)
        return self.run(model, prompts)


def auroc(positive: list[float], negative: list[float]) -> float:
    """Area under the ROC curve: the share of (positive, negative) pairs in which the positive scores higher.

    Ties count half. NaN when one list is empty.
    """
    if not positive or not negative:
        return float("nan")
    return float(roc_auc_score([1] * len(positive) + [0] * len(negative), [*positive, *negative]))
