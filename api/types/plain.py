"""GraphQL types, or the parts of them, that need no other question to the database.

The classes named `…Facts` are the plain columns of the types of the same name in `types`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import strawberry

from schema.circuit.records import NodeKind
from schema.questions import core as queries

strawberry.enum(NodeKind, description="The kinds of node of an attribution graph.")


def columns(row: NamedTuple, *, without: Sequence[str] = ()) -> dict[str, Any]:
    """The columns of a row whose names are those of the type's fields, too."""
    return {name: value for name, value in row._asdict().items() if name != "key" and name not in without}


@strawberry.type(
    description="A language model at one revision; each checkpoint of a training run is a model."
)
class Model:
    id: strawberry.ID = strawberry.field(description="Name and revision.")
    name: str = strawberry.field(description="Name on the hub, or of the folder.")
    revision: str | None = strawberry.field(description="Commit, or a hash of the weights.")
    architecture: str | None = strawberry.field(
        description="Class of the model, for example `LlamaForCausalLM`."
    )
    n_layers: int | None = strawberry.field(description="Layers: features are in layers 0 to nLayers - 1.")
    d_model: int | None = strawberry.field(description="Width of the residual stream.")
    vocab_size: int | None = strawberry.field(description="Number of tokens it knows.")
    training_step: int | None = strawberry.field(description="Training step of a checkpoint, when known.")


@strawberry.type(description="The transcoders that make a replacement model of one model.")
class TranscoderSet:
    id: strawberry.ID = strawberry.field(description="Name and revision.")
    name: str = strawberry.field(description="Name on the hub, or of the folder.")
    revision: str | None = strawberry.field(description="Commit, or a hash of the files.")
    kind: str | None = strawberry.field(description="`clt` (cross-layer) or `plt` (per-layer).")
    activation: str | None = strawberry.field(description="`relu`, `jumprelu` or `topk`.")
    input_hook: str | None = strawberry.field(description="Where the transcoders read.")
    output_hook: str | None = strawberry.field(description="Where they write.")
    n_features: int | None = strawberry.field(description="Width of the dictionary of one layer.")
    n_circuits: int = strawberry.field(description="Circuits in the database that were made with this set.")
    model: Model = strawberry.field(description="The model that they replace.")

    @classmethod
    def of(cls, row: queries.TranscodersRow) -> "TranscoderSet":
        values = columns(row)
        model = {
            name.removeprefix("model_"): values.pop(name)
            for name in list(values)
            if name.startswith("model_")
        }
        return cls(
            id=strawberry.ID(row.key), n_circuits=values.pop("circuits"), model=Model(**model), **values
        )


@strawberry.type(description="One prompt as one tokenizer sees it.")
class Prompt:
    id: strawberry.ID = strawberry.field(description="Hash of text and tokens.")
    text: str = strawberry.field(description="The whole text.")
    tokens: list[str] = strawberry.field(
        description="Decoded tokens by position, from 0; a special first token is included when there is one."
    )
    token_ids: list[int] | None = strawberry.field(description="Vocabulary numbers of the tokens.")
    expected: str | None = strawberry.field(description="The expected next token, when known.")
    split: str | None = strawberry.field(
        description="`train` or `held-out` in the model's corpus, when known."
    )
    pair: str | None = strawberry.field(description="Name shared by the members of a minimal pair.")
    family: str | None = strawberry.field(description="The family of prompts it belongs to.")
    tags: list[str] = strawberry.field(description="Free tags, sorted.")

    @classmethod
    def of(cls, row: queries.PromptRow) -> "Prompt":
        return cls(id=strawberry.ID(row.key), **columns(row))


@strawberry.type(description="One call of `atlas ingest`.")
class Run:
    id: strawberry.ID = strawberry.field(description="Hash of settings and versions.")
    settings: str = strawberry.field(description="What was asked, as JSON.")
    versions: str = strawberry.field(description="With which versions of which packages, as JSON.")

    @classmethod
    def of(cls, row: queries.RunRow) -> "Run":
        return cls(id=strawberry.ID(row.key), **columns(row))


@strawberry.type(description="What somebody or something says that a feature is. A new text is a new label.")
class Label:
    id: strawberry.ID = strawberry.field(description="Id of the label.")
    text: str = strawberry.field(description="The label itself.")
    method: str = strawberry.field(description="How it was made, for example `person`.")
    author: str = strawberry.field(description="Who made it.")
    score: float | None = strawberry.field(
        description="How well it predicts where the feature fires in contexts that it was not made from: "
        "balanced accuracy, 0 to 1, 0.5 for chance; null when not measured."
    )
    null_score: float | None = strawberry.field(
        description="The same score for labels of other features of its layer: what a wrong label gets."
    )

    @strawberry.field(
        description="Whether the label predicts better than labels of other features; null when not measured."
    )
    def beats_null(self) -> bool | None:
        return None if self.score is None or self.null_score is None else self.score > self.null_score

    @classmethod
    def of(cls, row: queries.LabelRow) -> "Label":
        return cls(**columns(row))


@strawberry.type(description="A family of prompts. Means are over the circuits that have the score.")
class Family:
    name: str = strawberry.field(description="Name of the family.")
    n_prompts: int = strawberry.field(description="Prompts of the family.")
    n_circuits: int = strawberry.field(description="Circuits of these prompts.")
    tags: list[str] = strawberry.field(description="Tags that occur on its prompts, sorted.")
    replacement_score: float | None = strawberry.field(
        description="Mean replacement score, 0 to 1; null when no circuit has one."
    )
    completeness_score: float | None = strawberry.field(
        description="Mean completeness score, 0 to 1; null when no circuit has one."
    )
    error_share: float | None = strawberry.field(
        description="Mean share of the errors in the influence of features and errors, 0 to 1."
    )
    n_judged: int = strawberry.field(description="Circuits whose expected token is known.")
    n_correct: int = strawberry.field(description="Circuits among these whose answer is the expected token.")
    accuracy: float | None = strawberry.field(description="nCorrect / nJudged; null when none is judged.")
    mixed_settings: bool = strawberry.field(
        description="True when its circuits differ in transcoder set or thresholds: the means mix them."
    )

    @classmethod
    def of(cls, row: queries.FamilyRow) -> "Family":
        return cls(
            accuracy=row.n_correct / row.n_judged if row.n_judged else None,
            mixed_settings=row.n_settings > 1,
            **columns(row, without=("n_settings",)),
        )


@strawberry.type(description="What is known of a circuit without looking into its graph.")
class CircuitFacts:
    id: strawberry.ID = strawberry.field(
        description="Hash of model, transcoders, tokens, target and thresholds."
    )
    target: str | None = strawberry.field(description="What was attributed, for example the salient logits.")
    target_position: int = strawberry.field(description="Position whose next token was attributed, from 0.")
    answer: str | None = strawberry.field(description="The most probable next token.")
    answer_probability: float | None = strawberry.field(description="Its probability, 0 to 1.")
    correct: bool | None = strawberry.field(
        description="Whether the answer is the expected token; null when none is known."
    )
    replacement_score: float | None = strawberry.field(
        description="Share of the influence on the logits that runs through features, not errors, 0 to 1."
    )
    completeness_score: float | None = strawberry.field(
        description="Share of the inputs of all nodes that are not errors, weighed by influence, 0 to 1."
    )
    error_share: float | None = strawberry.field(
        description="Share of the errors in the influence of features and errors before pruning, 0 to 1. "
        "When it is high, the graph explains little."
    )
    node_threshold: float | None = strawberry.field(
        description="Share of influence that pruning kept of the nodes."
    )
    edge_threshold: float | None = strawberry.field(
        description="Share of influence that pruning kept of the edges."
    )
    max_feature_nodes: int | None = strawberry.field(
        description="Most features attributed from; null: no limit."
    )
    dtype: str | None = strawberry.field(description="Number format of the computation.")
    special_first_token: bool | None = strawberry.field(
        description="Whether a special token stands first and its features and errors were left out."
    )
    n_active_features: int | None = strawberry.field(description="Features active anywhere in the prompt.")
    n_selected_features: int | None = strawberry.field(description="Those that were attributed from.")
    kept_influence: float | None = strawberry.field(
        description="Share of all node influence that the pruned nodes keep, 0 to 1."
    )
    n_nodes: int = strawberry.field(description="Nodes after pruning.")
    n_edges: int = strawberry.field(description="Edges after pruning.")


@strawberry.type(description="How a feature takes part in the circuits of one family.")
class FamilyUse:
    family: str = strawberry.field(description="Name of the family.")
    n_circuits: int = strawberry.field(description="Circuits of the family that have the feature.")
    n_considered: int = strawberry.field(
        description="Circuits of the family made with its transcoder set: others could not have it."
    )
    share: float = strawberry.field(description="nCircuits / nConsidered.")
    mean_influence: float | None = strawberry.field(
        description="Mean influence over the circuits that have it."
    )


@strawberry.type(description="What is known of a node by itself.")
class NodeFacts:
    id: strawberry.ID = strawberry.field(description="Unique in the database.")
    kind: NodeKind = strawberry.field(description="What it stands for.")
    layer: int = strawberry.field(
        description="Tokens: -1. Features and errors: 0 to nLayers - 1. Logits: nLayers."
    )
    position: int = strawberry.field(description="Position in the prompt, from 0.")
    position_from_end: int = strawberry.field(
        description="Positions to the end of the prompt; 0 is the last token."
    )
    index: str | None = strawberry.field(
        description="Number of the feature, or of the token in the vocabulary (as text); null for errors."
    )
    activation: float | None = strawberry.field(description="Features: the activation. Others: null.")
    influence: float | None = strawberry.field(
        description="Raw influence on the target logits before pruning, 0 or more; of logits the probability."
    )
    cumulative: float | None = strawberry.field(
        description="Share of all influence that nodes at least as influential hold, 0 to 1."
    )
    token: str | None = strawberry.field(description="Tokens and logits: the text.")
    probability: float | None = strawberry.field(description="Logits: the model's probability, 0 to 1.")


@strawberry.type(description="What is known of a supernode by itself.")
class SupernodeFacts:
    id: strawberry.ID = strawberry.field(description="Unique in the database.")
    label: str = strawberry.field(description="The role; supernodes of many circuits can share it.")
    position: int | None = strawberry.field(
        description="Position in the prompt, from 0, when it is tied to one."
    )
    method: str = strawberry.field(description="How it was made, for example `person`.")
    author: str = strawberry.field(description="Who made it.")
    score: float | None = strawberry.field(
        description="What its method says of it: of `roles-v2` the share of the circuit's feature influence "
        "that it holds, 0 to 1. Null when a method gives none."
    )
    influence: float | None = strawberry.field(
        description="Sum of the members' influence; null when none is known."
    )


@strawberry.type(description="A combination of settings under which circuits were made.")
class Settings:
    transcoders: strawberry.ID = strawberry.field(description="Id of the transcoder set.")
    target: str | None = strawberry.field(description="What was attributed, for example the salient logits.")
    node_threshold: float | None = strawberry.field(
        description="Share of influence that pruning kept of the nodes."
    )
    edge_threshold: float | None = strawberry.field(
        description="Share of influence that pruning kept of the edges."
    )
    max_feature_nodes: int | None = strawberry.field(
        description="Most features attributed from; null: no limit."
    )
    dtype: str | None = strawberry.field(description="Number format of the computation.")
    n_circuits: int = strawberry.field(description="Circuits considered that have these settings.")

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for equal settings."""
        thresholds = (self.node_threshold, self.edge_threshold, self.max_feature_nodes)
        return (self.transcoders, self.target, *thresholds, self.dtype)


@strawberry.type(description="The denominator of an answer: which circuits were looked at.")
class Considered:
    n_circuits: int = strawberry.field(description="How many circuits were looked at.")
    mixed_settings: bool = strawberry.field(
        description="True when they differ in transcoder set or thresholds: a feature that is absent may "
        "only have been pruned under stricter settings, or not exist in the other set."
    )
    settings: list[Settings] = strawberry.field(description="Their settings, those of most circuits first.")
    ids: strawberry.Private[list[str]]
    """Empty when they were not asked for."""

    @classmethod
    def of(cls, rows: Iterable[queries.SettingsRow]) -> "Considered":
        rows = list(rows)
        settings = [Settings(**columns(row, without=("circuits",))) for row in rows]
        return cls._of(settings, [circuit for row in rows for circuit in row.circuits])

    @classmethod
    def _of(cls, settings: list[Settings], ids: list[str]) -> "Considered":
        return cls(
            n_circuits=sum(each.n_circuits for each in settings),
            mixed_settings=len(settings) > 1,
            settings=settings,
            ids=ids,
        )

    def without(self, part: "Considered") -> "Considered":
        """The number of these circuits that are not in `part`, which is a part of them; no ids.

        Those of transcoder sets that `part` has no circuit of are left out.
        """
        gone = {each.key: each.n_circuits for each in part.settings}
        sets = {each.transcoders for each in part.settings}
        left = [
            replace(each, n_circuits=each.n_circuits - gone.get(each.key, 0))
            for each in self.settings
            if each.transcoders in sets
        ]
        left.sort(key=lambda each: -each.n_circuits)
        return Considered._of([each for each in left if each.n_circuits], [])
