"""Questions about where circuits come from: runs, transcoder sets, and whether the database answers."""

from typing import NamedTuple

from schema.questions.question import Question, page_of, row_of


class HealthRow(NamedTuple):
    circuits: int


class RunRow(NamedTuple):
    key: str
    settings: str
    versions: str


class MadeRow(NamedTuple):
    """A run, and how many circuits it made."""

    key: str
    settings: str
    versions: str
    n_circuits: int


class TranscodersRow(NamedTuple):
    key: str
    name: str
    revision: str | None
    kind: str | None
    activation: str | None
    input_hook: str | None
    output_hook: str | None
    n_features: int | None
    circuits: int
    model_id: str
    model_name: str
    model_revision: str | None
    model_architecture: str | None
    model_n_layers: int | None
    model_d_model: int | None
    model_vocab_size: int | None
    model_training_step: int | None


HEALTH = Question("health", row_of(HealthRow))
RUNS_BY_ID = Question("runs_by_id", row_of(RunRow))
RUNS = Question("runs", page_of(MadeRow))
TRANSCODERS_BY_ID = Question("transcoders_by_id", row_of(TranscodersRow))
