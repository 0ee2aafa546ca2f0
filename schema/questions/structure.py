"""Questions about recurring structure: effects, paths, motifs, hubs, and how specific features are."""

from typing import NamedTuple

from schema.questions.features import FEATURES_BY_ID
from schema.questions.question import KeyReference, Question, Record, page_of, row_of


class RecurringEdgeRow(NamedTuple):
    """A direct effect of, or on, one feature, over circuits."""

    feature: str
    """Id of the other feature."""
    n_circuits: int
    """Circuits, or units of circuits, that have the effect."""
    mean: float
    """Mean weight over them."""
    sd: float
    """Standard deviation of the weight."""
    sign_consistency: float
    """Share of them with the more common sign, 0.5 to 1."""


class BothRow(NamedTuple):
    """The number of circuits that have both of two features."""

    key: list[str]
    """Ids of the features."""
    both: int


class RecurringRow(NamedTuple):
    """A direct effect between two features, over circuits."""

    source: str
    """Id of the feature that acts."""
    target: str
    """Id of the feature that it acts on."""
    n_circuits: int
    both: int | None
    """Circuits that have both features: the denominator of `n_circuits`. None if it was not asked for."""
    mean: float
    """Mean weight over these circuits."""
    sd: float
    """Standard deviation of the weight."""
    sign_consistency: float
    """Share of these circuits with the more common sign, 0.5 to 1."""


class PathRow(NamedTuple):
    """A chain of direct effects in one circuit."""

    circuit: str
    nodes: list[str]
    """Ids of nodes, from source to target."""
    weights: list[float]
    """Signed weights of the effects."""
    product: float
    """Product of the weights."""
    flow: float | None
    """Share of the target's input that comes this way, with the sign of `product`; None when unknown."""


class MotifRow(NamedTuple):
    """A sub-circuit of three nodes that recurs."""

    first: str
    second: str
    third: str | None
    """Id of the third feature; None when it is a logit."""
    token: str | None
    """Token of the logit; None when the third node is a feature."""
    n_circuits: int
    product: float
    """Product of the chain's signed weights, averaged over circuits."""
    direct: float | None
    """Weight of the effect of the first on the third node, averaged over circuits; None without one."""
    sign_consistency: float
    """Share of the circuits where `product` has its more common sign, 0 to 1."""


class MotifRows(NamedTuple):
    """A page of motifs."""

    total: int
    rows: list[MotifRow]
    truncated: bool
    """Whether more effects recur than the question combines."""
    n_effects: int
    """Number of effects that recur in the circuits."""
    n_combined: int
    """Number of these effects that were combined."""


def _motifs(record: Record) -> MotifRows:
    rows = [MotifRow(**row) for row in record["rows"]]
    return MotifRows(record["total"], rows, record["truncated"], record["n_effects"], record["n_combined"])


class LogitDriverRow(NamedTuple):
    """A feature that acts directly on the logits of some tokens."""

    feature: str
    n_circuits: int
    """Circuits in which it has such an effect."""
    n_considered: int
    """Circuits of the feature's transcoder set that have such a logit."""
    mean: float
    """Mean signed weight over the n_circuits circuits, in units of the logit."""
    sum: float
    """Sum of the signed weights."""
    share: float | None
    """Mean share of the logit's input, 0 to 1; None when unknown."""
    n_promotes: int
    """Circuits in which the weight is above 0."""
    n_suppresses: int
    """Circuits in which the weight is below 0."""
    sign_consistency: float


class LogitDriverRows(NamedTuple):
    """A page of features that act on logits."""

    total: int
    rows: list[LogitDriverRow]
    n_with_logit: int
    """Circuits that have such a logit."""
    n_units_with_logit: int
    """Units (such as prompts) of these circuits."""


def _drivers(record: Record) -> LogitDriverRows:
    rows = [LogitDriverRow(**row) for row in record["rows"]]
    return LogitDriverRows(record["total"], rows, record["n_with_logit"], record["n_units_with_logit"])


class HubRow(NamedTuple):
    """A feature that is a hub."""

    feature: str
    n_circuits: int
    """Circuits, or units of circuits, that have the feature."""
    n_considered: int
    """Those of the feature's transcoder set."""
    frequency: float
    """n_circuits / n_considered."""
    dense: bool
    influence: float | None
    """Summed over circuits; None when unknown."""
    drives: int
    """Number of features that it drives."""
    driven_by: int
    """Number of features that drive it."""


class SpecificityRow(NamedTuple):
    """How specific a feature is for one family."""

    key: str
    """Id of the feature."""
    family: str | None
    """The family with the greatest share of circuits that have the feature."""
    share: float | None
    """That share, 0 to 1."""
    tau: float | None
    """0: equal in all families, 1: in one family only; None with fewer than two families."""


RECURRING_EFFECTS = Question(
    "recurring_effects",
    page_of(RecurringRow),
    refers=KeyReference(FEATURES_BY_ID, ("source", "target")),
    # On 1 000 circuits 150 ms became 180 ms of CPU with one map.
    planned_by_size=True,
)
PATHS = Question("paths", page_of(PathRow))
MOTIFS: Question[MotifRows] = Question(
    "motifs", _motifs, refers=KeyReference(FEATURES_BY_ID, ("first", "second", "third"))
)
DRIVES_LOGIT: Question[LogitDriverRows] = Question(
    "drives_logit", _drivers, refers=KeyReference(FEATURES_BY_ID, ("feature",))
)
HUBS = Question("hubs", page_of(HubRow), refers=KeyReference(FEATURES_BY_ID, ("feature",)))
HUBS_BY_UNIT = Question("hubs_by_unit", page_of(HubRow), refers=KeyReference(FEATURES_BY_ID, ("feature",)))
SPECIFICITY_OF_FEATURE = Question("specificity_of_feature", row_of(SpecificityRow))
RECURRING_EDGES = Question(
    "recurring_edges", page_of(RecurringEdgeRow), refers=KeyReference(FEATURES_BY_ID, ("feature",))
)
RECURRING_EDGES_BY_UNIT = Question(
    "recurring_edges_by_unit", page_of(RecurringEdgeRow), refers=KeyReference(FEATURES_BY_ID, ("feature",))
)
CIRCUITS_OF_BOTH = Question("circuits_of_both", row_of(BothRow))
