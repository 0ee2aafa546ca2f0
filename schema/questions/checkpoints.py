"""Questions about the checkpoints of a training run: quality, two compared, the history of a feature."""

from typing import NamedTuple

from schema.questions.question import Question, page_of, row_of


class CheckpointRow(NamedTuple):
    """A checkpoint of a training run."""

    key: str
    """Id of the checkpoint."""
    series: str
    """Name of the training run."""
    step: int
    transcoders: str
    """Id of the transcoder set that reads it."""
    n_circuits: int
    n_judged: int
    n_correct: int
    replacement_score: float | None
    error_share: float | None
    started_from: str | None
    """Id of the checkpoint whose transcoders were the starting point; None for the first."""
    cosine: float | None
    """Median cosine of the features' decoder vectors with those at `started_from`."""
    agreement: float | None
    """Median agreement of activity, 0 to 1."""
    null_cosine: float | None
    """As `cosine`, for pairs of different features."""
    null_agreement: float | None
    """As `agreement`, for pairs of different features."""
    n_features: int | None
    """Features that were compared."""


class HistoryRow(NamedTuple):
    """A feature at one checkpoint."""

    key: str
    checkpoint: str
    step: int
    feature: str | None
    n_circuits: int
    n_considered: int
    influence: float | None
    cosine: float | None
    agreement: float | None
    next_step: int | None


class PartsRow(NamedTuple):
    """Parts that the circuits of one family have in common at two checkpoints, at the same positions."""

    family: str | None
    n_prompts: int
    n_judged: int
    correct_a: int
    correct_b: int
    n_a: int
    n_b: int
    n_both: int
    share: float | None
    null_share: float | None


class AtBothRow(NamedTuple):
    """A feature at two checkpoints, over all positions."""

    layer: int
    number: int
    feature_a: str | None
    feature_b: str | None
    circuits_a: int
    circuits_b: int
    influence_a: float | None
    influence_b: float | None


CHECKPOINTS = Question("checkpoints", row_of(CheckpointRow))
HISTORY_OF_FEATURE = Question("history_of_feature", row_of(HistoryRow))
CHECKPOINT_PARTS = Question("checkpoint_parts", row_of(PartsRow))
CHECKPOINT_FEATURES = Question("checkpoint_features", page_of(AtBothRow))
