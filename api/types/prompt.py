"""Prompts and their families."""

import strawberry

from api.request.batching import reads
from api.types.considered import MixedSetting, mixed_of
from api.types.rows import columns
from schema.circuit.token_display import displayed
from schema.questions.circuits import FamilyRow, PromptRow
from schema.questions.features import FamilyOfFeatureRow


@strawberry.type(description="A prompt, as one tokenizer splits it.")
class Prompt:
    id: strawberry.ID = strawberry.field(description="Id: a hash of text and tokens.")
    text: str = strawberry.field(description="Text of the prompt.")
    tokens: list[str] = strawberry.field(
        description="The exact text of each token, with its leading space, ordered by position from 0. "
        "Bytes of a character that the tokenizer splits are the character and its part, such as `日[1/3]`. "
        "A special first token is included if there is one."
    )
    token_ids: list[int] | None = strawberry.field(
        description="Numbers of the tokens in the vocabulary. Null when unknown."
    )
    expected: str | None = strawberry.field(
        description="The expected answer, of one token or several. Null when unknown."
    )
    accepted: list[str] = strawberry.field(description="Further answers that are right too.")
    split: str | None = strawberry.field(
        description="Part of the model's corpus that the prompt is in: `train` or "
        "`held-out`. Null when unknown."
    )
    pair: str | None = strawberry.field(
        description="Name that the prompts of one minimal pair share. Null for prompts without a pair."
    )
    family: str | None = strawberry.field(description="The prompt family. Null for prompts without a family.")
    tags: list[str] = strawberry.field(description="Tags of the prompt, sorted.")

    @classmethod
    def of(cls, row: PromptRow) -> "Prompt":
        found = columns(row, without=("accepted",))
        return cls(id=strawberry.ID(row.key), accepted=row.accepted or [], **found)

    @strawberry.field(
        description="The tokens as people see them: spaces at their ends, tabs and line ends are `␣`, `⇥` "
        "and `↵`.",
        metadata=reads("tokens"),
    )
    def display_tokens(self) -> list[str]:
        return [displayed(token) for token in self.tokens]


OVER_CIRCUITS = (
    "replacementScore",
    "completenessScore",
    "errorShare",
    "nDerived",
    "nJudged",
    "nCorrect",
    "accuracy",
    "mixedSettings",
    "mixed",
)
"""The fields of a family that are computed over all of its circuits."""


@strawberry.type(
    description="A prompt family. Each mean is over those circuits of the family whose value is known."
)
class Family:
    name: str = strawberry.field(description="Name of the family.")
    n_prompts: int = strawberry.field(description="Number of prompts of the family.")
    n_circuits: int = strawberry.field(description="Number of circuits of these prompts.")
    tags: list[str] = strawberry.field(description="Tags of the family's prompts, sorted.")
    replacement_score: float | None = strawberry.field(
        description="Mean replacement score, 0 to 1. Null when no circuit has one."
    )
    completeness_score: float | None = strawberry.field(
        description="Mean completeness score, 0 to 1. Null when no circuit has one."
    )
    error_share: float | None = strawberry.field(
        description="Mean error share, 0 to 1. Null when no circuit has one."
    )
    n_derived: int = strawberry.field(
        description="Number of circuits with values that were derived from a pruned graph file "
        "(`Circuit.derived`)."
    )
    n_judged: int = strawberry.field(description="Number of circuits whose expected token is known.")
    n_correct: int = strawberry.field(description="Number of circuits whose answer is the expected token.")
    accuracy: float | None = strawberry.field(
        description="nCorrect / nJudged, 0 to 1. Null when nJudged is 0."
    )
    mixed_settings: bool = strawberry.field(
        description="Whether the family's circuits differ in their settings, see `mixed`. The means "
        "then mix different settings."
    )
    mixed: list[MixedSetting] = strawberry.field(
        description="The settings in which the family's circuits differ, such as the transcoder set or a "
        "threshold, with their values. Empty when they are equal."
    )

    @classmethod
    def of(cls, row: FamilyRow) -> "Family":
        return cls(
            accuracy=row.n_correct / row.n_judged if row.n_judged else None,
            mixed_settings=row.n_settings > 1,
            mixed=mixed_of(row.settings),
            **columns(row, without=("n_settings", "settings")),
        )


@strawberry.type(description="How often a feature occurs in the circuits of one prompt family.")
class FamilyUse:
    family: str = strawberry.field(description="Name of the family.")
    n_circuits: int = strawberry.field(description="Number of the family's circuits that have the feature.")
    n_considered: int = strawberry.field(
        description="Number of the family's circuits that were made with the feature's transcoder set: "
        "the denominator. Other circuits cannot have the feature."
    )
    share: float = strawberry.field(description="nCircuits / nConsidered, 0 to 1.")
    mean_influence: float | None = strawberry.field(
        description="Mean influence over the circuits that have the feature, 0 or more. Null when unknown."
    )

    @classmethod
    def of(cls, row: FamilyOfFeatureRow) -> "FamilyUse":
        return cls(
            family=row.family,
            n_circuits=row.circuits,
            n_considered=row.considered,
            share=row.circuits / row.considered,
            mean_influence=row.influence,
        )
