"""Questions about a training run's checkpoints: how good each is, two compared, a feature's history."""

from typing import NamedTuple

from schema.questions.question import Question, page_of, row_of


class CheckpointRow(NamedTuple):
    key: str
    series: str
    step: int
    transcoders: str
    n_circuits: int
    n_judged: int
    n_correct: int
    replacement_score: float | None
    error_share: float | None
    started_from: str | None
    cosine: float | None
    agreement: float | None
    null_cosine: float | None
    null_agreement: float | None
    n_features: int | None


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
    """Parts of the circuits of one family's prompts at two checkpoints, at the same places."""

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
    """A feature at two checkpoints, free of position."""

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
