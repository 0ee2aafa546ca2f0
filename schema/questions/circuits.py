"""Questions about circuits: lists, prompts, families, two circuits compared, circuits that share features."""

from typing import Any, NamedTuple

from schema.questions.question import KeyReference, Question, ids_of, lookup, page_of, row_of


class UnknownRow(NamedTuple):
    kind: str
    name: str


class SettingsRow(NamedTuple):
    """One combination of settings, and the circuits made under it; their ids when these are asked for."""

    transcoders: str
    target: str | None
    node_threshold: float | None
    edge_threshold: float | None
    max_feature_nodes: int | None
    dtype: str | None
    n_circuits: int
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


class CircuitSummaryRow(NamedTuple):
    """What lists of circuits show most often."""

    key: str
    prompt: str
    transcoders: str
    replacement_score: float | None
    answer: str | None
    correct: bool | None


class PromptTextRow(NamedTuple):
    key: str
    text: str


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


class ComparedFeatureRow(NamedTuple):
    feature: str
    place: int | None
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
    source_place: int | None
    target_place: int | None
    weight_a: float | None
    weight_b: float | None
    difference: float | None


UNKNOWN = Question("unknown", row_of(UnknownRow))
CONSIDERED = Question("considered", row_of(SettingsRow))
PROMPT_TEXTS = lookup("prompt_texts", PromptTextRow)
PROMPTS_BY_ID = lookup("prompts_by_id", PromptRow, summary=PROMPT_TEXTS)
CIRCUIT_SUMMARIES = lookup("circuit_summaries", CircuitSummaryRow)
CIRCUITS_BY_ID = lookup(
    "circuits_by_id", CircuitRow, KeyReference(PROMPTS_BY_ID, ("prompt",)), summary=CIRCUIT_SUMMARIES
)
CIRCUITS = Question("circuits", ids_of, refers=KeyReference(CIRCUITS_BY_ID))
FAMILIES = Question("families", row_of(FamilyRow))
CIRCUITS_SHARING = Question(
    "circuits_sharing", page_of(SharingRow), refers=KeyReference(CIRCUITS_BY_ID, ("circuit",))
)
OCCURRENCES = Question("occurrences", row_of(OccurrenceRow))
COMPARE_FEATURES = Question("compare_features", page_of(ComparedFeatureRow))
COMPARE_EDGES = Question("compare_edges", page_of(ComparedEdgeRow))
