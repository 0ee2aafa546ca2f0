"""Questions by words, and about how far circuits can be trusted and where they come from."""

from typing import NamedTuple

from schema.questions.core import CIRCUITS_BY_ID
from schema.questions.question import Along, Question, ids_of, page_of, row_of


class FoundRow(NamedTuple):
    kind: str
    text: str
    n_circuits: int
    n_features: int


class TextUseRow(NamedTuple):
    circuit: str
    influence: float | None


class FamilyErrorRow(NamedTuple):
    family: str | None
    transcoders: str
    n_considered: int
    n_known: int
    mean: float | None
    greatest: float | None
    n_untrusted: int


class LayerErrorRow(NamedTuple):
    transcoders: str
    layer: int
    n_circuits: int
    errors: float
    features: float
    error_share: float | None


class MadeRow(NamedTuple):
    """A run, and how many circuits it made."""

    key: str
    settings: str
    versions: str
    n_circuits: int


class FamilyHeadRow(NamedTuple):
    """What runs through one head of one model in the circuits of one family."""

    family: str
    model: str
    layer: int
    head: int
    considered: int
    net: float
    gross: float
    measured: int
    """Circuits in which it was ablated."""
    effect: float | None
    effect_size: float | None


SEARCH = Question("search", page_of(FoundRow))
CIRCUITS_OF_TEXT = Question("circuits_of_text", page_of(TextUseRow))
ERROR_BY_FAMILY = Question("error_by_family", row_of(FamilyErrorRow))
ERROR_BY_LAYER = Question("error_by_layer", row_of(LayerErrorRow))
UNTRUSTED = Question("untrusted", ids_of, along=Along(CIRCUITS_BY_ID))
RUNS = Question("runs", page_of(MadeRow))
HEADS_BY_FAMILY = Question("heads_by_family", row_of(FamilyHeadRow))
