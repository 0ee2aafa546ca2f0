"""Every question the API asks the database: a Cypher file in `schema/cypher` and the type of its rows.

A `Question` is a value. Two tiny runners, `ask` and `ask_async`, run any of them: nothing is written twice.
The files can be pasted into the Neo4j console: their `:param` lines set sample values there, and are left out
here. Values from outside travel as parameters, never as text of a query.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any, Generic, NamedTuple, TypeVar

from schema.database import AsyncDatabase, Database
from schema.errors import InputError

Row = TypeVar("Row")
Record = Mapping[str, Any]

_PARAM = re.compile(r"^:param (?P<name>\w+) => (?P<value>.*?);?$", re.MULTILINE)


@dataclass(frozen=True)
class Question(Generic[Row]):
    """One question: where its Cypher is, and how a record of the answer becomes a row."""

    name: str
    """Name of the file in `schema/cypher`, without its ending."""
    decode: Callable[[Record], Row]

    @cached_property
    def file(self) -> str:
        """The whole file, as one would paste it."""
        return resources.files("schema").joinpath("cypher", f"{self.name}.cypher").read_text(encoding="utf-8")

    @cached_property
    def text(self) -> str:
        """The Cypher that is sent: the file without its `:param` lines."""
        return _PARAM.sub("", self.file).strip()

    @cached_property
    def samples(self) -> dict[str, str]:
        """Every parameter with its sample value, a Cypher expression."""
        return {match["name"]: match["value"] for match in _PARAM.finditer(self.file)}


def ask(database: Database, question: Question[Row], *, timeout_s: float, **parameters: object) -> list[Row]:
    """The rows of the answer. Raises QueryTimeoutError past `timeout_s`."""
    return [
        question.decode(record) for record in database.read(question.text, parameters, timeout_s=timeout_s)
    ]


async def ask_async(
    database: AsyncDatabase, question: Question[Row], *, timeout_s: float, **parameters: object
) -> list[Row]:
    """`ask`, on the asynchronous driver."""
    records = await database.read(question.text, parameters, timeout_s=timeout_s)
    return [question.decode(record) for record in records]


def words_of(search: str) -> list[str]:
    """The words of `search` in lower case: letters and digits only, so nothing in them can be read as syntax.

    Raises InputError when there are none.
    """
    words = re.findall(r"[^\W_]+", search.lower())
    if not words:
        raise InputError(
            f"There is no word to search for in {search!r}",
            next_step="give at least one word of letters or digits, or leave the argument out",
        )
    return words


def full_text(search: str) -> str:
    """A full-text query that wants every word of `search`, each whole or as the beginning of a word."""
    return " ".join(f'+("{word}" {word}*)' for word in words_of(search))


class Page(NamedTuple, Generic[Row]):
    """A stretch of a longer list."""

    total: int
    """Length of the whole list."""
    rows: list[Row]
    key: Any = None
    """What the list belongs to, in questions that are asked of many keys at once."""


def _page(row: Callable[..., Row]) -> Callable[[Record], Page[Row]]:
    """Decodes {total, rows, key?}, each row a map of the row type's fields."""

    def decode(record: Record) -> Page[Row]:
        return Page(record["total"], [row(**each) for each in record["rows"]], record.get("key"))

    return decode


def _row(row: Callable[..., Row]) -> Callable[[Record], Row]:
    def decode(record: Record) -> Row:
        return row(**record)

    return decode


def _ids(record: Record) -> Page[str]:
    return Page(record["total"], list(record["rows"]), record.get("key"))


class HealthRow(NamedTuple):
    circuits: int


class UnknownRow(NamedTuple):
    kind: str
    name: str


class SettingsRow(NamedTuple):
    """One combination of settings, and the circuits made under it."""

    transcoders: str
    target: str | None
    node_threshold: float | None
    edge_threshold: float | None
    max_feature_nodes: int | None
    dtype: str | None
    circuits: list[str]


class CircuitRow(NamedTuple):
    key: str
    prompt: str
    transcoders: str
    run: str | None
    target: str | None
    target_position: int
    node_threshold: float | None
    edge_threshold: float | None
    max_feature_nodes: int | None
    dtype: str | None
    special_first_token: bool | None
    replacement_score: float | None
    completeness_score: float | None
    error_share: float | None
    n_active_features: int | None
    n_selected_features: int | None
    kept_influence: float | None
    n_nodes: int
    n_edges: int
    answer: str | None
    answer_probability: float | None
    correct: bool | None


class PromptRow(NamedTuple):
    key: str
    text: str
    tokens: list[str]
    token_ids: list[int] | None
    expected: str | None
    split: str | None
    pair: str | None
    family: str | None
    tags: list[str]


class RunRow(NamedTuple):
    key: str
    settings: str
    versions: str


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


class NodeRow(NamedTuple):
    key: str
    kind: str
    layer: int
    position: int
    position_from_end: int
    number: int | None
    activation: float | None
    influence: float | None
    cumulative: float | None
    token: str | None
    probability: float | None
    feature: str | None


class EffectRow(NamedTuple):
    """A direct effect of one node of a circuit on another."""

    source: str
    target: str
    weight: float
    share: float | None


class UseRow(NamedTuple):
    """What one feature does in one circuit, free of position."""

    circuit: str
    feature: str
    influence: float | None
    activation: float | None
    positions: list[int]


class SupernodeRow(NamedTuple):
    key: str
    circuit: str
    label: str
    position: int | None
    method: str
    author: str
    score: float | None
    members: list[str]
    influence: float | None


class SupernodeEdgeRow(NamedTuple):
    key: str
    source: str
    target: str
    weight: float
    n_effects: int


class SupernodesRow(NamedTuple):
    """A page of supernode ids, with what the labels are spread over."""

    total: int
    rows: list[str]
    n_circuits: int
    n_grouped: int


class FeatureRow(NamedTuple):
    key: str
    layer: int
    number: int
    transcoders: str
    circuits: int


class LabelRow(NamedTuple):
    key: str
    id: str
    text: str
    method: str
    author: str
    score: float | None
    null_score: float | None


class FamilyOfFeatureRow(NamedTuple):
    key: str
    family: str
    circuits: int
    influence: float | None
    considered: int


class RecurringEdgeRow(NamedTuple):
    feature: str
    n_circuits: int
    both: int
    mean: float
    sd: float
    sign_consistency: float


class SharingRow(NamedTuple):
    circuit: str
    influence: float
    uses: list[dict[str, Any]]


class OccurrenceRow(NamedTuple):
    key: list[str]
    node: str
    position: int
    position_from_end: int
    token: str | None
    activation: float | None
    influence: float | None
    logits: list[dict[str, Any]]


class SharedRow(NamedTuple):
    feature: str
    support: int
    n_inside: int
    influence: float | None
    support_outside: int
    n_outside: int
    lift: float | None


class ComparedFeatureRow(NamedTuple):
    feature: str
    influence_a: float | None
    influence_b: float | None
    difference: float | None
    activation_a: float | None
    activation_b: float | None
    positions_a: list[int]
    positions_b: list[int]


class ComparedEdgeRow(NamedTuple):
    source: str
    target: str
    weight_a: float | None
    weight_b: float | None
    difference: float | None


class FamilyRow(NamedTuple):
    name: str
    n_prompts: int
    n_circuits: int
    replacement_score: float | None
    completeness_score: float | None
    error_share: float | None
    n_judged: int
    n_correct: int
    n_settings: int
    tags: list[str]


HEALTH = Question("health", _row(HealthRow))
UNKNOWN = Question("unknown", _row(UnknownRow))
CONSIDERED = Question("considered", _row(SettingsRow))

CIRCUITS = Question("circuits", _ids)
CIRCUITS_BY_ID = Question("circuits_by_id", _row(CircuitRow))
PROMPTS_BY_ID = Question("prompts_by_id", _row(PromptRow))
RUNS_BY_ID = Question("runs_by_id", _row(RunRow))
TRANSCODERS_BY_ID = Question("transcoders_by_id", _row(TranscodersRow))
NODES_OF_CIRCUIT = Question("nodes_of_circuit", _ids)
NODES_BY_ID = Question("nodes_by_id", _row(NodeRow))
EDGES_OF_CIRCUIT = Question("edges_of_circuit", _page(EffectRow))
FEATURES_OF_CIRCUIT = Question("features_of_circuit", _page(UseRow))
SUPERNODES_OF_CIRCUIT = Question("supernodes_of_circuit", _ids)
SUPERNODES_BY_ID = Question("supernodes_by_id", _row(SupernodeRow))
SUPERNODE_EDGES = Question("supernode_edges", _row(SupernodeEdgeRow))

FEATURES = Question("features", _ids)
FEATURES_BY_ID = Question("features_by_id", _row(FeatureRow))
LABELS_OF_FEATURE = Question("labels_of_feature", _row(LabelRow))
FAMILIES_OF_FEATURE = Question("families_of_feature", _row(FamilyOfFeatureRow))
CIRCUITS_OF_FEATURE = Question("circuits_of_feature", _page(UseRow))
RECURRING_EDGES = Question("recurring_edges", _page(RecurringEdgeRow))

CIRCUITS_SHARING = Question("circuits_sharing", _page(SharingRow))
OCCURRENCES = Question("occurrences", _row(OccurrenceRow))
SHARED_FEATURES = Question("shared_features", _page(SharedRow))
COMPARE_FEATURES = Question("compare_features", _page(ComparedFeatureRow))
COMPARE_EDGES = Question("compare_edges", _page(ComparedEdgeRow))
SUPERNODES = Question("supernodes", _row(SupernodesRow))
FAMILIES = Question("families", _row(FamilyRow))

ALL: tuple[Question[Any], ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Question)
)
