"""Questions about circuits: lists, prompts, families, and two circuits compared."""

from typing import NamedTuple

from schema.questions.question import KeyReference, Question, Record, ids_of, lookup, page_of, row_of


class UnknownRow(NamedTuple):
    """A name that the database does not contain."""

    kind: str
    """circuit, feature, family, tag, tool, slug, creator or source URL."""
    name: str
    """The name as it was given."""


class FamilySettings(NamedTuple):
    """One combination of settings under which circuits were made."""

    transcoders: str
    """Id of the transcoder set."""
    model: str
    """Id of the model."""
    target: str | None
    node_threshold: float | None
    edge_threshold: float | None
    max_feature_nodes: int | None
    max_edges: int | None
    dtype: str | None
    tool: str | None
    """None for circuits that the atlas computed."""
    derived: list[str] | None
    """What was derived because a file does not give it; None when nothing was."""


class SettingsRow(NamedTuple):
    """One combination of settings, and the circuits that were made with it."""

    transcoders: str
    """Id of the transcoder set."""
    model: str
    """Id of the model."""
    target: str | None
    node_threshold: float | None
    edge_threshold: float | None
    max_feature_nodes: int | None
    max_edges: int | None
    dtype: str | None
    tool: str | None
    """None for circuits that the atlas computed."""
    derived: list[str] | None
    """What was derived because a file does not give it; None when nothing was."""
    n_circuits: int
    circuits: list[str]
    """Ids of the circuits; empty unless they were asked for."""


class PromptOfCircuitsRow(NamedTuple):
    """A prompt, and the circuits that were made of it."""

    prompt: str
    """Id of the prompt."""
    text: str
    pair: str | None
    family: str | None
    circuits: list[str]
    """Ids of the circuits, ascending."""
    transcoders: list[str]
    """Id of the transcoder set of each of these circuits."""


class CircuitRow(NamedTuple):
    """The properties of a circuit."""

    key: str
    """Id of the circuit."""
    prompt: str
    """Id of the prompt."""
    transcoders: str
    """Id of the transcoder set."""
    run: str | None
    """Id of the run; None when none is recorded."""
    target: str | None
    target_position: int
    node_threshold: float | None
    edge_threshold: float | None
    max_feature_nodes: int | None
    max_edges: int | None
    dtype: str | None
    special_first_token: bool | None
    n_left_out: int | None
    replacement_score: float | None
    completeness_score: float | None
    error_share: float | None
    error_share_low: float | None
    error_share_high: float | None
    derived: list[str] | None
    """Names of `Derived`; None when nothing was derived."""
    n_active_features: int | None
    n_selected_features: int | None
    kept_influence: float | None
    """Share of the influence that pruning kept, 0 to 1."""
    n_nodes: int
    n_edges: int
    answer: str | None
    answer_probability: float | None
    correct: bool | None
    continuation: str | None
    tool: str | None
    """Imported circuits only, like all that follow: the tool in whose format the file was."""
    slug: str | None
    source_set: str | None
    creator: str | None
    description: str | None
    title: str | None
    creator_url: str | None
    source_urls: list[str] | None
    generator: str | None


class CircuitSummaryRow(NamedTuple):
    """The properties of a circuit that lists show most often."""

    key: str
    prompt: str
    transcoders: str
    replacement_score: float | None
    answer: str | None
    correct: bool | None


class PromptTextRow(NamedTuple):
    """The text of a prompt."""

    key: str
    """Id of the prompt."""
    text: str


class PromptRow(NamedTuple):
    """The properties of a prompt."""

    key: str
    """Id of the prompt."""
    text: str
    tokens: list[str]
    token_ids: list[int] | None
    expected: str | None
    accepted: list[str] | None
    split: str | None
    pair: str | None
    family: str | None
    tags: list[str]


class FamilyRow(NamedTuple):
    """A family of prompts, with means over its circuits."""

    name: str
    n_prompts: int
    n_circuits: int
    replacement_score: float | None
    completeness_score: float | None
    error_share: float | None
    n_derived: int
    """Circuits with derived values."""
    n_judged: int
    """Circuits whose expected token is known."""
    n_correct: int
    """Circuits whose answer is right."""
    n_settings: int
    """Combinations of settings; above 1 the means mix them."""
    settings: list[FamilySettings]
    """These combinations."""
    tags: list[str]


def _family(record: Record) -> FamilyRow:
    return FamilyRow(**{**record, "settings": [FamilySettings(**each) for each in record["settings"]]})


class ComparedFeatureRow(NamedTuple):
    """A feature in one or both of two circuits."""

    feature: str
    """Id of the feature."""
    place: int | None
    """Position, or distance from the end, where occurrences align; None when any position counts."""
    influence_a: float | None
    influence_b: float | None
    difference: float | None
    """influence_a - influence_b; None unless both are known."""
    activation_a: float | None
    activation_b: float | None
    positions_a: list[int]
    positions_b: list[int]


class ComparedEdgeRow(NamedTuple):
    """A direct effect between features in one or both of two circuits."""

    source: str
    """Id of the feature that acts."""
    target: str
    """Id of the feature that it acts on."""
    source_place: int | None
    target_place: int | None
    weight_a: float | None
    weight_b: float | None
    difference: float | None
    """weight_a - weight_b; None unless both circuits have the effect."""


UNKNOWN = Question("unknown", row_of(UnknownRow))
CONSIDERED = Question("considered", row_of(SettingsRow))
PROMPTS_OF_CIRCUITS = Question("prompts_of_circuits", row_of(PromptOfCircuitsRow))
PROMPT_TEXTS = lookup("prompt_texts", PromptTextRow)
PROMPTS_BY_ID = lookup("prompts_by_id", PromptRow, summary=PROMPT_TEXTS)
CIRCUIT_SUMMARIES = lookup("circuit_summaries", CircuitSummaryRow)
CIRCUITS_BY_ID = lookup(
    "circuits_by_id", CircuitRow, KeyReference(PROMPTS_BY_ID, ("prompt",)), summary=CIRCUIT_SUMMARIES
)
CIRCUITS = Question("circuits", ids_of, refers=KeyReference(CIRCUITS_BY_ID))
ALL_CIRCUITS = Question("all_circuits", ids_of, refers=KeyReference(CIRCUITS_BY_ID))
FAMILIES: Question[FamilyRow] = Question("families", _family)
COMPARE_FEATURES = Question("compare_features", page_of(ComparedFeatureRow))
COMPARE_EDGES = Question("compare_edges", page_of(ComparedEdgeRow))
