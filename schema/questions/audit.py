"""Questions about how far circuits can be trusted."""

from typing import NamedTuple

from schema.questions.circuits import CIRCUITS_BY_ID
from schema.questions.question import KeyReference, Question, ids_of, row_of


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


ERROR_BY_FAMILY = Question("error_by_family", row_of(FamilyErrorRow))
ERROR_BY_LAYER = Question("error_by_layer", row_of(LayerErrorRow))
UNTRUSTED = Question("untrusted", ids_of, refers=KeyReference(CIRCUITS_BY_ID))
