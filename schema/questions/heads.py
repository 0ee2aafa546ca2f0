"""Questions about attention heads."""

from typing import NamedTuple

from schema.questions.question import Question, row_of


class HeadUseRow(NamedTuple):
    """Influence that runs through one head in one circuit."""

    key: str
    layer: int
    head: int
    net: float
    gross: float


class FamilyHeadRow(NamedTuple):
    """Influence that runs through one head of a model in the circuits of one family."""

    family: str
    model: str
    layer: int
    head: int
    considered: int
    net: float
    gross: float
    measured: int
    """Circuits in which the head was ablated."""
    effect: float | None
    effect_size: float | None


HEADS_OF_CIRCUIT = Question("heads_of_circuit", row_of(HeadUseRow))
HEADS_BY_FAMILY = Question("heads_by_family", row_of(FamilyHeadRow))
