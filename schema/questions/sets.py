"""Questions about sets of circuits: shared features, contrasts of two sets, similar circuits, presence."""

from typing import NamedTuple

from schema.questions.circuits import CIRCUITS_BY_ID
from schema.questions.features import FEATURES_BY_ID
from schema.questions.question import KeyReference, Page, Question, Record, page_of, row_of


class SharedRow(NamedTuple):
    """A feature that circuits share."""

    feature: str
    """Id of the feature."""
    support: int
    """Inside circuits that have the feature."""
    n_inside: int
    influence: float | None
    """Mean over these circuits; None when unknown."""
    support_outside: int
    """Outside circuits that have the feature."""
    n_outside: int
    lift: float | None
    """Share inside / share outside; None when no outside circuit has the feature."""


class Counts(NamedTuple):
    """The numbers of circuits, inside and outside, that have a feature, and the numbers considered."""

    support: int
    n_inside: int
    support_outside: int
    n_outside: int

    @property
    def key(self) -> str:
        """The key of these counts in the map of p-values that `shared_features.cypher` reads."""
        return "/".join(map(str, self))


class SharedRows(NamedTuple):
    """A page of shared features, and the counts of all features that were tested."""

    total: int
    rows: list[SharedRow]
    tested: dict[Counts, int]
    """Number of features with these counts, without the features that no inside circuit has."""
    n_tested: int
    """Number of features of the inside and the outside."""
    n_unknown: int
    """Number of listed features whose influence is unknown in all inside circuits."""


def _shared(record: Record) -> SharedRows:
    return SharedRows(
        record["total"],
        [SharedRow(**row) for row in record["rows"]],
        {Counts(*counts): n for *counts, n in record["tested"]},
        record["n_tested"],
        record["n_unknown"],
    )


class ContrastRow(NamedTuple):
    """A feature, an effect (with target) or a label of supernodes that distinguishes two sets of circuits."""

    name: str
    with_positive: int
    n_positive: int
    with_negative: int
    n_negative: int
    mean_positive: float | None
    mean_negative: float | None
    auroc: float | None
    lift: float | None
    target: str | None = None


class SimilarRow(NamedTuple):
    """A circuit that is similar to another."""

    circuit: str
    similarity: float | None
    """0 to 1; None for a cosine when an influence is unknown."""
    n_common: int
    """Number of features in both circuits."""


class SimilarFeatureRow(NamedTuple):
    """A feature that two circuits share."""

    feature: str
    weight: float
    """log(circuits of its transcoder set / circuits that have it)."""
    influence_a: float | None
    influence_b: float | None


class SimilarEdgeRow(NamedTuple):
    """A direct effect that two circuits share."""

    source: str
    target: str
    weight: float
    """Contribution to the similarity."""
    weight_a: float
    weight_b: float


class PresenceRow(NamedTuple):
    """Circuits in which one feature is in one state."""

    feature: str
    state: str
    circuits: list[str]


SHARED_FEATURES: Question[SharedRows] = Question(
    "shared_features", _shared, refers=KeyReference(FEATURES_BY_ID, ("feature",))
)
CONTRAST_FEATURES: Question[Page[ContrastRow]] = Question(
    "contrast_features", page_of(ContrastRow), refers=KeyReference(FEATURES_BY_ID, ("name",))
)
CONTRAST_EDGES: Question[Page[ContrastRow]] = Question(
    "contrast_edges", page_of(ContrastRow), refers=KeyReference(FEATURES_BY_ID, ("name", "target"))
)
CONTRAST_SUPERNODES: Question[Page[ContrastRow]] = Question("contrast_supernodes", page_of(ContrastRow))
SIMILAR_CIRCUITS = Question(
    "similar_circuits", page_of(SimilarRow), refers=KeyReference(CIRCUITS_BY_ID, ("circuit",))
)
SIMILAR_FEATURES = Question(
    "similar_features", page_of(SimilarFeatureRow), refers=KeyReference(FEATURES_BY_ID, ("feature",))
)
SIMILAR_EDGES = Question(
    "similar_edges", page_of(SimilarEdgeRow), refers=KeyReference(FEATURES_BY_ID, ("source", "target"))
)
PRESENCE = Question("presence", row_of(PresenceRow))
