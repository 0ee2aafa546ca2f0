"""Questions about features: lists, circuits, positions, families, examples and nearest features."""

from typing import NamedTuple

from schema.questions.circuits import CIRCUITS_BY_ID
from schema.questions.question import KeyReference, Question, Record, ids_of, lookup, page_of, row_of


class FeatureRow(NamedTuple):
    """The properties of a feature."""

    key: str
    """Id of the feature."""
    layer: int
    number: int
    """Index in the dictionary of its layer."""
    transcoders: str
    """Id of the transcoder set."""
    circuits: int
    """Number of circuits that have the feature."""


class UseRow(NamedTuple):
    """One feature in one circuit, over all its positions."""

    circuit: str
    feature: str
    influence: float | None
    activation: float | None
    positions: list[int]


class SharingRow(NamedTuple):
    """A circuit that uses some of the features asked about."""

    circuit: str
    """Id of the circuit."""
    influence: float | None
    """Summed influence of the features in the circuit; None when it is unknown of all of them."""
    uses: list[UseRow]
    """The feature with the most influence comes first."""


class SharingRows(NamedTuple):
    """A page of circuits that share features."""

    total: int
    rows: list[SharingRow]
    n_units: int
    """Number of units, such as prompts, that all these circuits belong to."""
    n_unknown: int
    """Number of circuits in which the influence of one of the features is unknown."""


def _sharing(record: Record) -> SharingRows:
    rows = [SharingRow(**{**row, "uses": [UseRow(**use) for use in row["uses"]]}) for row in record["rows"]]
    return SharingRows(record["total"], rows, record["n_units"], record["n_unknown"])


class LogitEffectRow(NamedTuple):
    """A direct effect of a feature on a logit."""

    node: str
    """Id of the logit node."""
    weight: float
    share: float | None
    """|weight| over the summed |weights| of all inputs of the logit, 0 to 1; None when unknown."""


class OccurrenceRow(NamedTuple):
    """A feature at one position of a circuit."""

    key: list[str]
    """Ids of the circuit and of the feature."""
    node: str
    """Id of the feature node."""
    position: int
    position_from_end: int
    token: str | None
    activation: float | None
    influence: float | None
    logits: list[LogitEffectRow]
    """The strongest effect comes first."""


def _occurrence(record: Record) -> OccurrenceRow:
    return OccurrenceRow(**{**record, "logits": [LogitEffectRow(**each) for each in record["logits"]]})


class NotesRow(NamedTuple):
    """What is known of a feature from feature files or a corpus."""

    key: str
    """Id of the feature."""
    density: float | None
    """Share of the corpus's tokens on which it fires, 0 to 1; None when unknown."""
    promotes: list[str]
    suppresses: list[str]


class ExampleRow(NamedTuple):
    """A context in which a feature fires."""

    id: str
    tokens: list[str]
    activations: list[float]
    """Activation of the feature at each token."""


class FamilyOfFeatureRow(NamedTuple):
    """A feature in one family of prompts."""

    key: str
    """Id of the feature."""
    family: str
    circuits: int
    """Circuits of the family that have the feature."""
    influence: float | None
    """Mean over these circuits; None when unknown."""
    considered: int
    """Circuits of the family that were made with the feature's transcoder set."""


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
FEATURES_BY_UNIT = Question("features_by_unit", ids_of, refers=KeyReference(FEATURES_BY_ID))
FEATURES_BY_COUNT = Question("features_by_count", ids_of, refers=KeyReference(FEATURES_BY_ID))
NOTES_OF_FEATURE = Question("notes_of_feature", row_of(NotesRow))
EXAMPLES_OF_FEATURE = Question("examples_of_feature", page_of(ExampleRow))
FAMILIES_OF_FEATURE = Question("families_of_feature", row_of(FamilyOfFeatureRow))
CIRCUITS_OF_FEATURE = Question(
    "circuits_of_feature", page_of(UseRow), refers=KeyReference(CIRCUITS_BY_ID, ("circuit",))
)
NEAREST_FEATURES: Question[NearestFeatureRows] = Question("nearest_features", _nearest)
CIRCUITS_SHARING: Question[SharingRows] = Question(
    "circuits_sharing", _sharing, refers=KeyReference(CIRCUITS_BY_ID, ("circuit",))
)
OCCURRENCES = Question("occurrences", _occurrence)
