"""Labels of features, and what each label was made from."""

import strawberry

from api.request.batching import Info
from api.types.rows import columns
from schema.questions.labels import EVIDENCE_OF_LABEL, LabelRow


@strawberry.type(description="What a label was made from; null for labels of people and of `atlas ingest`.")
class LabelEvidence:
    rule: str | None = strawberry.field(
        description="JSON: where the label says that the feature fires, whole; what was scored."
    )
    asked: str | None = strawberry.field(description="What a language model was asked.")
    answered: str | None = strawberry.field(description="What it answered, whole.")


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
    def of(cls, row: LabelRow) -> "Label":
        return cls(**columns(row))

    @strawberry.field(description="What it was made from.")
    def evidence(self, info: Info) -> LabelEvidence:
        return info.context.loaders.fact(
            EVIDENCE_OF_LABEL, self.id, lambda row: LabelEvidence(**columns(row))
        )
