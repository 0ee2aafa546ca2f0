"""Questions about sets of circuits: what they share, what tells two apart, which circuits are similar."""

from typing import NamedTuple

from schema.questions.circuits import CIRCUITS_BY_ID
from schema.questions.features import FEATURES_BY_ID
from schema.questions.question import KeyReference, Page, Question, Record, page_of, row_of


class SharedRow(NamedTuple):
    feature: str
    support: int
    n_inside: int
    influence: float | None
    support_outside: int
    n_outside: int
    lift: float | None


class Counts(NamedTuple):
    """In how many circuits inside and outside a feature occurs, of how many."""

    support: int
    n_inside: int
    support_outside: int
    n_outside: int

    @property
    def key(self) -> str:
        """The same for the same counts; `shared_features.cypher` looks p-values up by it."""
        return "/".join(map(str, self))


class SharedRows(NamedTuple):
    """A page of shared features, and the counts of all features that were tested."""

    total: int
    rows: list[SharedRow]
    tested: dict[Counts, int]
    """How many features have these counts; those that no circuit inside has are left out."""
    n_tested: int
    """How many features there are inside or outside."""


def _shared(record: Record) -> SharedRows:
    return SharedRows(
        record["total"],
        [SharedRow(**row) for row in record["rows"]],
        {Counts(*counts): n for *counts, n in record["tested"]},
        record["n_tested"],
    )


class ContrastRow(NamedTuple):
    """What tells two sets of circuits apart: a feature, an effect (with target), or a name of supernodes."""

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
    circuit: str
    similarity: float
    n_common: int


class SimilarFeatureRow(NamedTuple):
    feature: str
    weight: float
    influence_a: float | None
    influence_b: float | None


class SimilarEdgeRow(NamedTuple):
    source: str
    target: str
    weight: float
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
