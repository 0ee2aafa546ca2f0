"""Questions about features: lists of them, their circuits, families, examples and density."""

from typing import NamedTuple

from schema.questions.circuits import CIRCUITS_BY_ID
from schema.questions.question import KeyReference, Question, Record, ids_of, lookup, page_of, row_of


class FeatureRow(NamedTuple):
    key: str
    layer: int
    number: int
    transcoders: str
    circuits: int


class UseRow(NamedTuple):
    """What one feature does in one circuit, free of position."""

    circuit: str
    feature: str
    influence: float | None
    activation: float | None
    positions: list[int]


class NotesRow(NamedTuple):
    key: str
    density: float | None
    promotes: list[str]
    suppresses: list[str]


class ExampleRow(NamedTuple):
    id: str
    tokens: list[str]
    activations: list[float]


class FamilyOfFeatureRow(NamedTuple):
    key: str
    family: str
    circuits: int
    influence: float | None
    considered: int


class NearestFeatureRow(NamedTuple):
    """A feature that writes in nearly the same direction as another."""

    feature: str
    cosine: float
    """Cosine of what the two features add to the residual stream."""


class NearestFeatureRows(NamedTuple):
    """A page of the features nearest to one feature."""

    total: int
    rows: list[NearestFeatureRow]
    known: bool
    """Whether the direction of the given feature is stored; without it, there are no rows."""


def _nearest(record: Record) -> NearestFeatureRows:
    return NearestFeatureRows(
        record["total"], [NearestFeatureRow(**row) for row in record["rows"]], record["known"]
    )


FEATURES_BY_ID = lookup("features_by_id", FeatureRow)
FEATURES = Question("features", ids_of, refers=KeyReference(FEATURES_BY_ID))
FEATURES_BY_COUNT = Question("features_by_count", ids_of, refers=KeyReference(FEATURES_BY_ID))
NOTES_OF_FEATURE = Question("notes_of_feature", row_of(NotesRow))
EXAMPLES_OF_FEATURE = Question("examples_of_feature", page_of(ExampleRow))
FAMILIES_OF_FEATURE = Question("families_of_feature", row_of(FamilyOfFeatureRow))
CIRCUITS_OF_FEATURE = Question(
    "circuits_of_feature", page_of(UseRow), refers=KeyReference(CIRCUITS_BY_ID, ("circuit",))
)
NEAREST_FEATURES: Question[NearestFeatureRows] = Question("nearest_features", _nearest)
