"""`Feature.history`: what became of a feature over the checkpoints of its training run."""

import strawberry

from api.request.loaders import Info
from schema.questions.checkpoints import HISTORY_OF_FEATURE


@strawberry.type(description="A feature at one checkpoint of its training run.")
class FeatureThen:
    step: int = strawberry.field(description="Step of training, from 0.")
    checkpoint: strawberry.ID = strawberry.field(description="Id of the checkpoint, see `checkpoints`.")
    feature: strawberry.ID | None = strawberry.field(
        description="Id of the feature of this layer and index there; null when no circuit has it."
    )
    n_circuits: int = strawberry.field(description="Circuits of the checkpoint that have it.")
    n_considered: int = strawberry.field(description="Circuits of the checkpoint: the denominator.")
    influence: float | None = strawberry.field(
        description="Mean influence over the circuits that have it, 0 or more; null: none, or none known."
    )
    next_step: int | None = strawberry.field(
        description="The next later step at which a circuit has it, with which it is compared; null: none."
    )
    cosine: float | None = strawberry.field(
        description="Of what the two write, all layers together, -1 to 1: 1 when it is the same feature."
    )
    agreement: float | None = strawberry.field(
        description="Tokens on which both fire, of those on which one of them does: 0 to 1. Null: none."
    )


@strawberry.type
class FeatureHistory:
    id: strawberry.ID = strawberry.field(
        description="Transcoder set, layer and index: `set@revision/layer/index`."
    )

    @strawberry.field(
        description="Over the checkpoints of its training run, by step: when it appeared, and whether it is "
        "still the same. Empty when its transcoders belong to no checkpoint (`atlas checkpoints load`)."
    )
    async def history(self, info: Info) -> list[FeatureThen]:
        return [
            FeatureThen(
                step=row.step,
                checkpoint=strawberry.ID(row.checkpoint),
                feature=None if row.feature is None else strawberry.ID(row.feature),
                n_circuits=row.n_circuits,
                n_considered=row.n_considered,
                influence=row.influence,
                next_step=row.next_step,
                cosine=row.cosine,
                agreement=row.agreement,
            )
            for row in await info.context.loaders.many(HISTORY_OF_FEATURE, self.id)
        ]
