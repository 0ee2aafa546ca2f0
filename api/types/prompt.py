"""Prompts and their families."""

import strawberry

from api.types.rows import columns
from schema.questions.circuits import FamilyRow, PromptRow
from schema.questions.features import FamilyOfFeatureRow


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
    def of(cls, row: PromptRow) -> "Prompt":
        return cls(id=strawberry.ID(row.key), **columns(row))


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
    def of(cls, row: FamilyRow) -> "Family":
        return cls(
            accuracy=row.n_correct / row.n_judged if row.n_judged else None,
            mixed_settings=row.n_settings > 1,
            **columns(row, without=("n_settings",)),
        )


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

    @classmethod
    def of(cls, row: FamilyOfFeatureRow) -> "FamilyUse":
        return cls(
            family=row.family,
            n_circuits=row.circuits,
            n_considered=row.considered,
            share=row.circuits / row.considered,
            mean_influence=row.influence,
        )
