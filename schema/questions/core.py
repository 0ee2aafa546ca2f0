"""Every question about one circuit, feature or list of them: its file in `schema/questions/cypher`, and its
rows."""

from typing import Any, NamedTuple

from schema.questions.question import Along, Question, facts_of, ids_of, page_of, row_of


class HealthRow(NamedTuple):
    circuits: int


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
    heads: list[str]
    head_weights: list[float]


class HeadUseRow(NamedTuple):
    """What runs through one head in one circuit."""

    key: str
    layer: int
    head: int
    net: float
    gross: float


class UseRow(NamedTuple):
    """What one feature does in one circuit, free of position."""

    circuit: str
    feature: str
    influence: float | None
    activation: float | None
    positions: list[int]


class GroupingRow(NamedTuple):
    """A way in which a circuit's features are grouped into supernodes."""

    key: str
    method: str
    authors: list[str]
    n_supernodes: int
    n_members: int
    share: float | None


class GroupingAcrossRow(NamedTuple):
    """A way in which features of several circuits are grouped."""

    method: str
    authors: list[str]
    n_supernodes: int
    n_circuits: int


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


class EvidenceRow(NamedTuple):
    """What a label was made from."""

    key: str
    rule: str | None
    asked: str | None
    answered: str | None


class NotesRow(NamedTuple):
    key: str
    density: float | None
    promotes: list[str]
    suppresses: list[str]


class ExampleRow(NamedTuple):
    id: str
    tokens: list[str]
    activations: list[float]


class FamilyOfFeatureRow(NamedTuple):
    key: str
    family: str
    circuits: int
    influence: float | None
    considered: int


class RecurringEdgeRow(NamedTuple):
    feature: str
    n_circuits: int
    mean: float
    sd: float
    sign_consistency: float


class BothRow(NamedTuple):
    key: list[str]
    both: int


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


HEALTH = Question("health", row_of(HealthRow))
UNKNOWN = Question("unknown", row_of(UnknownRow))
CONSIDERED = Question("considered", row_of(SettingsRow))

PROMPTS_BY_ID: Question[PromptRow] = facts_of("prompts_by_id", PromptRow, brief=("text",))
CIRCUITS_BY_ID: Question[CircuitRow] = facts_of(
    "circuits_by_id",
    CircuitRow,
    Along(PROMPTS_BY_ID, ("prompt",)),
    brief=("prompt", "transcoders", "replacement_score", "answer", "correct"),
)
CIRCUITS = Question("circuits", ids_of, along=Along(CIRCUITS_BY_ID))
FEATURES_BY_ID: Question[FeatureRow] = facts_of("features_by_id", FeatureRow)
RUNS_BY_ID = Question("runs_by_id", row_of(RunRow))
TRANSCODERS_BY_ID = Question("transcoders_by_id", row_of(TranscodersRow))
NODES_BY_ID: Question[NodeRow] = facts_of("nodes_by_id", NodeRow, Along(FEATURES_BY_ID, ("feature",)))
NODES_OF_CIRCUIT = Question("nodes_of_circuit", ids_of, along=Along(NODES_BY_ID))
EDGES_OF_CIRCUIT = Question("edges_of_circuit", page_of(EffectRow))
HEADS_OF_CIRCUIT = Question("heads_of_circuit", row_of(HeadUseRow))
FEATURES_OF_CIRCUIT = Question(
    "features_of_circuit", page_of(UseRow), along=Along(FEATURES_BY_ID, ("feature",))
)
GROUPINGS_OF_CIRCUIT = Question("groupings_of_circuit", row_of(GroupingRow))
GROUPINGS = Question("groupings", row_of(GroupingAcrossRow))
GROUPINGS_OF_SET = Question("groupings_of_set", row_of(GroupingAcrossRow))
SUPERNODES_BY_ID: Question[SupernodeRow] = facts_of("supernodes_by_id", SupernodeRow)
SUPERNODES_OF_CIRCUIT = Question("supernodes_of_circuit", ids_of, along=Along(SUPERNODES_BY_ID))
SUPERNODE_EDGES = Question("supernode_edges", row_of(SupernodeEdgeRow))

FEATURES = Question("features", ids_of, along=Along(FEATURES_BY_ID))
FEATURES_BY_COUNT = Question("features_by_count", ids_of, along=Along(FEATURES_BY_ID))
LABELS_OF_FEATURE = Question("labels_of_feature", row_of(LabelRow))
EVIDENCE_OF_LABEL = Question("evidence_of_label", row_of(EvidenceRow))
NOTES_OF_FEATURE = Question("notes_of_feature", row_of(NotesRow))
EXAMPLES_OF_FEATURE = Question("examples_of_feature", page_of(ExampleRow))
FAMILIES_OF_FEATURE = Question("families_of_feature", row_of(FamilyOfFeatureRow))
CIRCUITS_OF_FEATURE = Question(
    "circuits_of_feature", page_of(UseRow), along=Along(CIRCUITS_BY_ID, ("circuit",))
)
RECURRING_EDGES = Question(
    "recurring_edges", page_of(RecurringEdgeRow), along=Along(FEATURES_BY_ID, ("feature",))
)
CIRCUITS_OF_BOTH = Question("circuits_of_both", row_of(BothRow))

CIRCUITS_SHARING = Question(
    "circuits_sharing", page_of(SharingRow), along=Along(CIRCUITS_BY_ID, ("circuit",))
)
OCCURRENCES = Question("occurrences", row_of(OccurrenceRow))
COMPARE_FEATURES = Question("compare_features", page_of(ComparedFeatureRow))
COMPARE_EDGES = Question("compare_edges", page_of(ComparedEdgeRow))
SUPERNODES = Question("supernodes", row_of(SupernodesRow))
FAMILIES = Question("families", row_of(FamilyRow))
