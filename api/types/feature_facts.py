"""What is said of a feature by itself, without the circuits and features it leads to."""

from typing import Self

import strawberry

from api.request.loaders import Info
from api.types.feature_examples import FeatureExamples
from api.types.plain import FamilyUse, Label, TranscoderSet, columns
from schema.questions import core as queries


@strawberry.type(description="What a label was made from; null for labels of people and of `atlas ingest`.")
class LabelEvidence:
    rule: str | None = strawberry.field(
        description="JSON: where the label says that the feature fires, whole; what was scored."
    )
    asked: str | None = strawberry.field(description="What a language model was asked.")
    answered: str | None = strawberry.field(description="What it answered, whole.")


@strawberry.type(
    name="Label", description="What somebody or something says that a feature is. A new text is a new label."
)
class FeatureLabel(Label):
    @strawberry.field(description="What it was made from.")
    def evidence(self, info: Info) -> LabelEvidence:
        return info.context.loaders.fact(
            queries.EVIDENCE_OF_LABEL, self.id, lambda row: LabelEvidence(**columns(row))
        )


@strawberry.type
class FeatureFacts(FeatureExamples):
    layer: int = strawberry.field(description="Layer that it reads, from 0.")
    index: str = strawberry.field(
        description="Its number in its layer's dictionary, as text: those of other tools can pass 2^31."
    )
    n_circuits: int = strawberry.field(description="Circuits that have it.")
    set_id: strawberry.Private[str]

    @classmethod
    def of(cls, row: queries.FeatureRow) -> Self:
        return cls(
            id=strawberry.ID(row.key),
            layer=row.layer,
            index=str(row.number),
            n_circuits=row.circuits,
            set_id=row.transcoders,
        )

    @strawberry.field(description="The transcoder set it belongs to.")
    def transcoders(self, info: Info) -> TranscoderSet:
        return info.context.loaders.fact(queries.TRANSCODERS_BY_ID, self.set_id, TranscoderSet.of)

    @strawberry.field(description="Circuits made with its transcoder set: the denominator of nCircuits.")
    def n_considered(self, info: Info) -> int:
        return info.context.loaders.fact(queries.TRANSCODERS_BY_ID, self.set_id, lambda row: row.circuits)

    @strawberry.field(description="What it is said to be: labels of persons first, then by score.")
    async def labels(self, info: Info) -> list[FeatureLabel]:
        rows = await info.context.loaders.many(queries.LABELS_OF_FEATURE, self.id)
        return [FeatureLabel(**columns(row)) for row in rows]

    @strawberry.field(description="The families it takes part in, highest share first.")
    async def families(self, info: Info) -> list[FamilyUse]:
        return [
            FamilyUse(
                family=row.family,
                n_circuits=row.circuits,
                n_considered=row.considered,
                share=row.circuits / row.considered,
                mean_influence=row.influence,
            )
            for row in await info.context.loaders.many(queries.FAMILIES_OF_FEATURE, self.id)
        ]
