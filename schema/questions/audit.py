"""Questions about how far circuits can be trusted."""

from typing import NamedTuple

from schema.questions.circuits import CIRCUITS_BY_ID
from schema.questions.question import KeyReference, Question, ids_of, row_of


class FamilyErrorRow(NamedTuple):
    """The error shares of the circuits of one family and transcoder set."""

    family: str | None
    """None for circuits without a family."""
    transcoders: str
    n_considered: int
    n_known: int
    """Circuits whose error share is known."""
    n_derived: int
    """Circuits whose error share is derived."""
    mean: float | None
    """Mean error share, 0 to 1."""
    greatest: float | None
    """Highest error share."""
    n_untrusted: int
    """Circuits above the limit that was given."""


class LayerErrorRow(NamedTuple):
    """Influence of the error nodes and of the features of one layer, summed over circuits."""

    transcoders: str
    layer: int
    n_circuits: int
    n_derived: int
    """Circuits whose influence is derived."""
    errors: float
    features: float
    error_share: float | None
    """errors / (errors + features)."""


ERROR_BY_FAMILY = Question("error_by_family", row_of(FamilyErrorRow))
ERROR_BY_LAYER = Question("error_by_layer", row_of(LayerErrorRow))
UNTRUSTED = Question("untrusted", ids_of, refers=KeyReference(CIRCUITS_BY_ID))
