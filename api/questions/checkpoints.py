"""`checkpoints` and `compareCheckpoints`: states of a training run, and what changed between two."""

from collections.abc import Sequence
from enum import Enum
from typing import Annotated

import strawberry
from strawberry import argument

from api.request.batching import Info, Listing
from api.request.connection import After, Connection, First, connect
from api.types.feature import Feature, feature_of
from api.types.transcoders import TranscoderSet
from schema.errors import NotFoundError
from schema.questions.checkpoints import (
    CHECKPOINT_FEATURES,
    CHECKPOINT_PARTS,
    CHECKPOINTS,
    AtBothRow,
    CheckpointRow,
)
from schema.questions.runs import TRANSCODERS_BY_ID


@strawberry.enum(description="At which of two checkpoints circuits have a feature.")
class WhichCheckpoint(Enum):
    ANY = strawberry.enum_value("any", description="At `a`, at `b`, or at both.")
    A = strawberry.enum_value("a", description="Only at `a`.")
    B = strawberry.enum_value("b", description="Only at `b`.")
    BOTH = strawberry.enum_value("both", description="At both.")


@strawberry.type(
    description="How far the features of a checkpoint are the same as those of a later one. "
    "All values are medians over features."
)
class FeatureIdentity:
    checkpoint: strawberry.ID = strawberry.field(
        description="Id of the later checkpoint. "
        "The transcoders of the earlier one were started from its transcoders."
    )
    cosine: float = strawberry.field(
        description="Cosine between what a feature writes at the two checkpoints, "
        "over all layers together: -1 to 1."
    )
    agreement: float = strawberry.field(
        description="Share of tokens on which a feature fires at both checkpoints, "
        "of those on which it fires at either: 0 to 1."
    )
    null_cosine: float = strawberry.field(
        description="Baseline for `cosine`: the cosine with another feature of the layer, -1 to 1."
    )
    null_agreement: float = strawberry.field(
        description="Baseline for `agreement`: the agreement with another feature of the layer, 0 to 1."
    )
    n_features: int = strawberry.field(
        description="Number of features that fire at both checkpoints: the medians are over these."
    )


@strawberry.type(description="A state of a training run, as `atlas checkpoints load` stored it.")
class Checkpoint:
    id: strawberry.ID = strawberry.field(description="Hash of its transcoder set.")
    series: str = strawberry.field(description="The training run: the name of the checkpoints' folder.")
    step: int = strawberry.field(description="Training step, from 0.")
    n_circuits: int = strawberry.field(description="Number of circuits of this checkpoint.")
    n_judged: int = strawberry.field(description="Number of these circuits whose expected token is known.")
    n_correct: int = strawberry.field(
        description="Number of the judged circuits whose answer is the expected token."
    )
    accuracy: float | None = strawberry.field(
        description="nCorrect / nJudged, 0 to 1. Null when nJudged is 0."
    )
    replacement_score: float | None = strawberry.field(
        description="Mean replacement score over the checkpoint's circuits, 0 to 1. "
        "Null when it is unknown in all of them."
    )
    error_share: float | None = strawberry.field(
        description="Mean error share over the checkpoint's circuits, 0 to 1. "
        "When it is high, the graphs explain little. "
        "Null when it is unknown in all of them."
    )
    same: FeatureIdentity | None = strawberry.field(
        description="How far the features are the same as those of the next later checkpoint. "
        "Null for the last checkpoint."
    )
    set_id: strawberry.Private[str]

    @classmethod
    def of(cls, row: CheckpointRow) -> "Checkpoint":
        same = None
        if row.started_from is not None and row.cosine is not None:
            same = FeatureIdentity(
                checkpoint=strawberry.ID(row.started_from),
                cosine=row.cosine,
                agreement=row.agreement or 0.0,
                null_cosine=row.null_cosine or 0.0,
                null_agreement=row.null_agreement or 0.0,
                n_features=row.n_features or 0,
            )
        return cls(
            id=strawberry.ID(row.key),
            series=row.series,
            step=row.step,
            n_circuits=row.n_circuits,
            n_judged=row.n_judged,
            n_correct=row.n_correct,
            accuracy=row.n_correct / row.n_judged if row.n_judged else None,
            replacement_score=row.replacement_score,
            error_share=row.error_share,
            same=same,
            set_id=row.transcoders,
        )

    @strawberry.field(description="The checkpoint's transcoder set, with its model.")
    def transcoders(self, info: Info) -> TranscoderSet:
        return info.context.loaders.fact(TRANSCODERS_BY_ID, self.set_id, TranscoderSet.of)


@strawberry.type(
    description="What the circuits of one family's prompts have in common at two checkpoints. "
    "A part is a feature at a position, or an edge."
)
class CheckpointParts:
    family: str | None = strawberry.field(
        description="Name of the family. Null for prompts without a family."
    )
    n_prompts: int = strawberry.field(
        description="Number of prompts that have a circuit "
        "with equal target and thresholds at both checkpoints."
    )
    n_judged: int = strawberry.field(description="Number of these prompts whose expected token is known.")
    correct_a: int = strawberry.field(
        description="Number of the judged prompts that are answered correctly at `a`."
    )
    correct_b: int = strawberry.field(
        description="Number of the judged prompts that are answered correctly at `b`."
    )
    n_a: int = strawberry.field(description="Number of parts at `a`, summed over circuits.")
    n_b: int = strawberry.field(description="Number of parts at `b`, summed over circuits.")
    n_both: int = strawberry.field(
        description="Number of parts that the two circuits of a prompt have in common, summed over prompts."
    )
    share: float | None = strawberry.field(
        description="Share of the parts at `b` that are also at `a`, 0 to 1: the mean over prompts. "
        "Null when the circuits at `b` have no parts."
    )
    null_share: float | None = strawberry.field(
        description="Baseline for `share`: the share with the circuit at `a` "
        "of the family's next prompt instead, which is what any two prompts have in common. "
        "Null when the family has only one prompt."
    )


@strawberry.type(description="A feature at two checkpoints, by layer and index, over all positions.")
class FeatureAtBoth:
    layer: int = strawberry.field(description="Layer that the feature reads, from 0.")
    index: str = strawberry.field(description="Number of the feature in its layer's dictionary, as text.")
    circuits_a: int = strawberry.field(
        description="Number of compared circuits at `a` that have the feature."
    )
    circuits_b: int = strawberry.field(
        description="Number of compared circuits at `b` that have the feature."
    )
    influence_a: float | None = strawberry.field(
        description="Mean influence over the circuits at `a` that have the feature, 0 or more. "
        "Null when no circuit has it, or the influence is unknown."
    )
    influence_b: float | None = strawberry.field(
        description="Mean influence over the circuits at `b` that have the feature, 0 or more. "
        "Null when no circuit has it, or the influence is unknown."
    )
    id_a: strawberry.Private[str | None]
    id_b: strawberry.Private[str | None]

    @classmethod
    def of(cls, row: AtBothRow) -> "FeatureAtBoth":
        return cls(
            layer=row.layer,
            index=str(row.number),
            circuits_a=row.circuits_a,
            circuits_b=row.circuits_b,
            influence_a=row.influence_a,
            influence_b=row.influence_b,
            id_a=row.feature_a,
            id_b=row.feature_b,
        )

    @strawberry.field(description="The feature at `a`. Null when no compared circuit has it.")
    def a(self, info: Info) -> Feature | None:
        return None if self.id_a is None else feature_of(info, self.id_a)

    @strawberry.field(description="The feature at `b`. Null when no compared circuit has it.")
    def b(self, info: Info) -> Feature | None:
        return None if self.id_b is None else feature_of(info, self.id_b)


@strawberry.type(
    description="Two checkpoints side by side, "
    "over the prompts that have a circuit with equal target and thresholds at both. "
    "Features are compared by layer and index. "
    "Each checkpoint's `same`, and `Feature.history`, "
    "say how far equal layer and index mean the same feature."
)
class CheckpointComparison:
    a: Checkpoint = strawberry.field(description="Checkpoint a.")
    b: Checkpoint = strawberry.field(description="Checkpoint b.")

    @strawberry.field(description="Features at their positions, by family.")
    async def families(self, info: Info) -> list[CheckpointParts]:
        return await self._parts(info, "features")

    @strawberry.field(description="Edges by family. Edges from error nodes are left out.")
    async def edges(self, info: Info) -> list[CheckpointParts]:
        return await self._parts(info, "edges")

    @strawberry.field(
        description="Features that appeared, disappeared or changed. "
        "Those whose number of circuits changed most come first."
    )
    async def features(
        self,
        info: Info,
        at: Annotated[
            WhichCheckpoint, argument(description="At which checkpoints circuits have the feature.")
        ] = WhichCheckpoint.ANY,
        first: First = None,
        after: After = None,
    ) -> Connection[FeatureAtBoth]:
        asked = {"a": self.a.id, "b": self.b.id, "part": at.value}
        return connect(info, Listing(CHECKPOINT_FEATURES, asked), first, after, FeatureAtBoth.of)

    async def _parts(self, info: Info, part: str) -> list[CheckpointParts]:
        rows = await info.context.loaders.ask(CHECKPOINT_PARTS, a=self.a.id, b=self.b.id, part=part)
        return [CheckpointParts(**row._asdict()) for row in rows]


@strawberry.type
class CheckpointQuery:
    @strawberry.field(description="Checkpoints that `atlas checkpoints load` stored, by series and step.")
    async def checkpoints(
        self,
        info: Info,
        series: Annotated[
            str | None, argument(description="Only this training run. An unknown name gives an empty list.")
        ] = None,
    ) -> list[Checkpoint]:
        rows = await info.context.loaders.ask(CHECKPOINTS, series=series, ids=None)
        return [Checkpoint.of(row) for row in rows]

    @strawberry.field(
        description="What changed in training between two checkpoints: answers, "
        "features and edges of the circuits of the same prompts."
    )
    async def compare_checkpoints(
        self,
        info: Info,
        a: Annotated[
            strawberry.ID,
            argument(
                description="Id of checkpoint a, as `checkpoints` gives it. "
                "An unknown id is an error (NOT_FOUND)."
            ),
        ],
        b: Annotated[
            strawberry.ID,
            argument(
                description="Id of checkpoint b, as `checkpoints` gives it. "
                "An unknown id is an error (NOT_FOUND)."
            ),
        ],
    ) -> CheckpointComparison:
        first, second = await _checkpoints(info, [a, b])
        return CheckpointComparison(a=first, b=second)


async def _checkpoints(info: Info, ids: Sequence[str]) -> list[Checkpoint]:
    """The checkpoints, in the order of `ids`.

    Raises NotFoundError, which names the ids that the database does not have.
    """
    found = {row.key: row for row in await info.context.loaders.ask(CHECKPOINTS, series=None, ids=list(ids))}
    if missing := [each[:80] for each in ids if each not in found]:
        raise NotFoundError(
            f"There are no checkpoints {', '.join(map(repr, missing))}",
            next_step="ask `checkpoints { id series step }`; `atlas checkpoints load` writes them",
        )
    return [Checkpoint.of(found[each]) for each in ids]
