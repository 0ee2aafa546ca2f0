"""Labels of features, and what each label was made from."""

import strawberry

from api.request.batching import Info
from api.types.rows import columns
from schema.questions.labels import EVIDENCE_OF_LABEL, LabelRow


@strawberry.type(
    description="The evidence for a label. All fields are null for labels of people and of `atlas ingest`."
)
class LabelEvidence:
    rule: str | None = strawberry.field(
        description="The complete rule that was scored, as JSON: on which tokens the label says "
        "that the feature is active."
    )
    asked: str | None = strawberry.field(
        description="The question that a language model was asked. Null for other methods."
    )
    answered: str | None = strawberry.field(
        description="The complete answer of the language model. Null for other methods."
    )


@strawberry.type(
    description="A label: what a person or a method says that a feature stands for. "
    "A new text is a new label."
)
class Label:
    id: strawberry.ID = strawberry.field(description="Id of the label.")
    text: str = strawberry.field(description="Text of the label.")
    method: str = strawberry.field(description="Method that made the label, for example `person`.")
    author: str = strawberry.field(description="Author of the label.")
    score: float | None = strawberry.field(
        description="How well the label predicts where the feature is active, in contexts that it was not "
        "made from: balanced accuracy, 0 to 1, where 0.5 is chance, unless another test (`scorer`) gave it. "
        "Null when not measured."
    )
    scorer: str | None = strawberry.field(
        description="The test that gave an imported label its score, such as `eleuther_fuzz`. Null for other "
        "labels: their score is that of `atlas label`."
    )
    null_score: float | None = strawberry.field(
        description="Balanced accuracy of the labels of other features of the same layer: the score of a "
        "wrong label, 0 to 1. Null when not measured."
    )

    @strawberry.field(
        description="Whether the label predicts better than labels of other features. Null when not measured."
    )
    def beats_null(self) -> bool | None:
        return None if self.score is None or self.null_score is None else self.score > self.null_score

    @classmethod
    def of(cls, row: LabelRow) -> "Label":
        return cls(**columns(row))

    @strawberry.field(description="The evidence that the label was made from.")
    def evidence(self, info: Info) -> LabelEvidence:
        return info.context.loaders.fact(
            EVIDENCE_OF_LABEL, self.id, lambda row: LabelEvidence(**columns(row))
        )
