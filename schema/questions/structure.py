"""Questions about what recurs in circuits: effects, chains, small sub-circuits, hubs."""

from typing import NamedTuple

from schema.questions.features import FEATURES_BY_ID
from schema.questions.question import KeyReference, Question, Record, page_of, row_of


class RecurringEdgeRow(NamedTuple):
    feature: str
    n_circuits: int
    mean: float
    sd: float
    sign_consistency: float


class BothRow(NamedTuple):
    key: list[str]
    both: int


class RecurringRow(NamedTuple):
    source: str
    target: str
    n_circuits: int
    both: int
    """Not there, and not to be read, when no denominators were asked for."""
    mean: float
    sd: float
    sign_consistency: float


class PathRow(NamedTuple):
    circuit: str
    nodes: list[str]
    weights: list[float]
    product: float
    flow: float | None


class MotifRow(NamedTuple):
    first: str
    second: str
    third: str | None
    token: str | None
    n_circuits: int
    product: float
    direct: float | None
    sign_consistency: float


class MotifRows(NamedTuple):
    total: int
    rows: list[MotifRow]
    truncated: bool


def _motifs(record: Record) -> MotifRows:
    return MotifRows(record["total"], [MotifRow(**row) for row in record["rows"]], record["truncated"])


class HubRow(NamedTuple):
    feature: str
    n_circuits: int
    n_considered: int
    frequency: float
    dense: bool
    influence: float | None
    drives: int
    driven_by: int


class SpecificityRow(NamedTuple):
    key: str
    family: str | None
    share: float | None
    tau: float | None


RECURRING_EFFECTS = Question(
    "recurring_effects", page_of(RecurringRow), refers=KeyReference(FEATURES_BY_ID, ("source", "target"))
)
PATHS = Question("paths", page_of(PathRow))
MOTIFS: Question[MotifRows] = Question(
    "motifs", _motifs, refers=KeyReference(FEATURES_BY_ID, ("first", "second", "third"))
)
HUBS = Question("hubs", page_of(HubRow), refers=KeyReference(FEATURES_BY_ID, ("feature",)))
SPECIFICITY_OF_FEATURE = Question("specificity_of_feature", row_of(SpecificityRow))
RECURRING_EDGES = Question(
    "recurring_edges", page_of(RecurringEdgeRow), refers=KeyReference(FEATURES_BY_ID, ("feature",))
)
CIRCUITS_OF_BOTH = Question("circuits_of_both", row_of(BothRow))
