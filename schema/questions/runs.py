"""Questions about the origin of circuits (runs, transcoder sets), and whether the database answers."""

from typing import NamedTuple

from schema.questions.question import Question, page_of, row_of


class HealthRow(NamedTuple):
    """The answer of a database that works."""

    circuits: int
    """Number of circuits."""


class RunRow(NamedTuple):
    """One call of `atlas ingest` or `atlas import`."""

    key: str
    """Id of the run."""
    settings: str
    """JSON."""
    versions: str
    """JSON: version of each package."""


class MadeRow(NamedTuple):
    """A run, and the number of circuits that it made."""

    key: str
    settings: str
    versions: str
    n_circuits: int


class TranscodersRow(NamedTuple):
    """The properties of a transcoder set and of its model."""

    key: str
    """Id of the transcoder set."""
    name: str
    revision: str | None
    kind: str | None
    """plt or clt."""
    activation: str | None
    input_hook: str | None
    output_hook: str | None
    n_features: int | None
    """Features per layer."""
    neuronpedia: str | None
    """Model and source set under which Neuronpedia has the features."""
    neuronpedia_attention: str | None
    """The same for features of attention."""
    measured: str | None
    """JSON of `schema.annotations.measured`."""
    circuits: int
    """Number of circuits that were made with the set."""
    model_id: str
    model_name: str
    model_revision: str | None
    model_architecture: str | None
    model_n_layers: int | None
    model_d_model: int | None
    model_vocab_size: int | None
    model_training_step: int | None


class NamedSetRow(NamedTuple):
    """A transcoder set that a text means."""

    name: str
    """The id or the name, as it was given."""
    transcoders: str
    """Id of the set."""


HEALTH = Question("health", row_of(HealthRow))
RUNS_BY_ID = Question("runs_by_id", row_of(RunRow))
RUNS = Question("runs", page_of(MadeRow))
TRANSCODERS_BY_ID = Question("transcoders_by_id", row_of(TranscodersRow))
SETS_NAMED = Question("sets_named", row_of(NamedSetRow))
