"""`checkpoints` and `compareCheckpoints`: states of one training run, beside each other."""

from collections.abc import Sequence
from enum import Enum
from typing import Annotated

import strawberry
from strawberry import argument

from api.request.connection import After, Connection, First, connect, window
from api.request.loaders import Info
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


@strawberry.enum(description="At which of two checkpoints a feature is in circuits.")
class WhichCheckpoint(Enum):
    ANY = strawberry.enum_value("any", description="At one of them or at both.")
    A = strawberry.enum_value("a", description="Only at `a`.")
    B = strawberry.enum_value("b", description="Only at `b`.")
    BOTH = strawberry.enum_value("both", description="At both.")


@strawberry.type(description="How far the features of a checkpoint are those of a later one: medians.")
class FeatureIdentity:
    checkpoint: strawberry.ID = strawberry.field(
        description="Id of the later checkpoint, whose transcoders its own were started from."
    )
    cosine: float = strawberry.field(
        description="Of what a feature writes, all layers together: -1 to 1, 1 for the same direction."
    )
    agreement: float = strawberry.field(
        description="Tokens on which it fires at both, of those on which it fires at one: 0 to 1."
    )
    null_cosine: float = strawberry.field(description="The same with another feature of the layer.")
    null_agreement: float = strawberry.field(description="The same with another feature of the layer.")
    n_features: int = strawberry.field(description="Features that fire at both, of which these are medians.")


@strawberry.type(description="A state of a training run, as `atlas checkpoints load` found it.")
class Checkpoint:
    id: strawberry.ID = strawberry.field(description="Hash of its transcoder set.")
    series: str = strawberry.field(description="The training run: the name of the checkpoints' folder.")
    step: int = strawberry.field(description="Step of training, from 0.")
    n_circuits: int = strawberry.field(description="Circuits of this checkpoint.")
    n_judged: int = strawberry.field(description="Of these, circuits whose expected token is known.")
    n_correct: int = strawberry.field(description="Of these, circuits whose answer is the expected token.")
    accuracy: float | None = strawberry.field(description="nCorrect / nJudged, 0 to 1; null: none is judged.")
    replacement_score: float | None = strawberry.field(description="Mean over its circuits, 0 to 1.")
    error_share: float | None = strawberry.field(
        description="Mean share of errors in the influence, 0 to 1; high: its graphs explain little."
    )
    same: FeatureIdentity | None = strawberry.field(
        description="How far its features are those of the next later checkpoint; null for the last one."
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

    @strawberry.field(description="Its transcoders, with its model.")
    def transcoders(self, info: Info) -> TranscoderSet:
        return info.context.loaders.fact(TRANSCODERS_BY_ID, self.set_id, TranscoderSet.of)


@strawberry.type(description="Parts of the circuits of one family's prompts at two checkpoints.")
class CheckpointParts:
    family: str | None = strawberry.field(description="Name of the family; null: of prompts without one.")
    n_prompts: int = strawberry.field(
        description="Prompts with a circuit of equal target and thresholds at both."
    )
    n_judged: int = strawberry.field(description="Of these, prompts whose expected token is known.")
    correct_a: int = strawberry.field(description="Of these, right answers at `a`.")
    correct_b: int = strawberry.field(description="Of these, right answers at `b`.")
    n_a: int = strawberry.field(description="Parts of all their circuits at `a`.")
    n_b: int = strawberry.field(description="Parts of all their circuits at `b`.")
    n_both: int = strawberry.field(description="Parts that the circuits of one prompt have at both.")
    share: float | None = strawberry.field(
        description="Of b's parts that a has: mean over prompts, 0 to 1. Null: b's circuits have none."
    )
    null_share: float | None = strawberry.field(
        description="The same with a's circuit of the family's next prompt: what any two prompts "
        "share. Null when it has one prompt only."
    )


@strawberry.type(description="A feature of one layer and index at two checkpoints, free of position.")
class FeatureAtBoth:
    layer: int = strawberry.field(description="Layer that it reads, from 0.")
    index: str = strawberry.field(description="Its number in its layer's dictionary, as text.")
    circuits_a: int = strawberry.field(description="Circuits at `a` that have it, of `nCircuits` compared.")
    circuits_b: int = strawberry.field(description="Circuits at `b` that have it.")
    influence_a: float | None = strawberry.field(
        description="Mean influence over the circuits at `a` that have it, 0 or more."
    )
    influence_b: float | None = strawberry.field(description="The same at `b`.")
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

    @strawberry.field(description="The feature at `a`; null when no compared circuit has it.")
    def a(self, info: Info) -> Feature | None:
        return None if self.id_a is None else feature_of(info, self.id_a)

    @strawberry.field(description="The feature at `b`; null when no compared circuit has it.")
    def b(self, info: Info) -> Feature | None:
        return None if self.id_b is None else feature_of(info, self.id_b)


@strawberry.type(
    description="Two checkpoints beside each other, over the prompts that have a circuit of equal target and "
    "thresholds at both. Features are compared by layer and index: how far these name the same one, `same` "
    "of each checkpoint and `Feature.history` say."
)
class CheckpointComparison:
    a: Checkpoint = strawberry.field(description="The one.")
    b: Checkpoint = strawberry.field(description="The other.")

    @strawberry.field(description="Features at their positions, by family.")
    async def families(self, info: Info) -> list[CheckpointParts]:
        return await self._parts(info, "features")

    @strawberry.field(description="Edges, those from errors left out, by family.")
    async def edges(self, info: Info) -> list[CheckpointParts]:
        return await self._parts(info, "edges")

    @strawberry.field(description="Features that came, went or changed; by change of their circuits.")
    async def features(
        self,
        info: Info,
        at: Annotated[
            WhichCheckpoint, argument(description="At which checkpoints circuits have them.")
        ] = WhichCheckpoint.ANY,
        first: First = None,
        after: After = None,
    ) -> Connection[FeatureAtBoth]:
        where = window(info.context.limits, first, after)
        page = await info.context.loaders.ask_page(
            CHECKPOINT_FEATURES, a=self.a.id, b=self.b.id, part=at.value, **where._asdict()
        )
        return connect(where, page.total, [FeatureAtBoth.of(row) for row in page.rows])

    async def _parts(self, info: Info, part: str) -> list[CheckpointParts]:
        rows = await info.context.loaders.ask(CHECKPOINT_PARTS, a=self.a.id, b=self.b.id, part=part)
        return [CheckpointParts(**row._asdict()) for row in rows]


@strawberry.type
class CheckpointQuery:
    @strawberry.field(description="Checkpoints that `atlas checkpoints load` wrote, by series and step.")
    async def checkpoints(
        self,
        info: Info,
        series: Annotated[
            str | None, argument(description="Only this training run; unknown: an empty list.")
        ] = None,
    ) -> list[Checkpoint]:
        rows = await info.context.loaders.ask(CHECKPOINTS, series=series, ids=None)
        return [Checkpoint.of(row) for row in rows]

    @strawberry.field(
        description="What changed in training between two checkpoints: answers, features and edges of the "
        "circuits of the same prompts."
    )
    async def compare_checkpoints(
        self,
        info: Info,
        a: Annotated[
            strawberry.ID,
            argument(description="Id of a checkpoint, see `checkpoints`. Unknown: an error (NOT_FOUND)."),
        ],
        b: Annotated[
            strawberry.ID, argument(description="Id of another one. Unknown: an error (NOT_FOUND).")
        ],
    ) -> CheckpointComparison:
        first, second = await _both(info, [a, b])
        return CheckpointComparison(a=first, b=second)


async def _both(info: Info, ids: Sequence[str]) -> list[Checkpoint]:
    """Raises NotFoundError naming those that the database does not have."""
    found = {row.key: row for row in await info.context.loaders.ask(CHECKPOINTS, series=None, ids=list(ids))}
    if missing := [each[:80] for each in ids if each not in found]:
        raise NotFoundError(
            f"There are no checkpoints {', '.join(map(repr, missing))}",
            next_step="ask `checkpoints { id series step }`; `atlas checkpoints load` writes them",
        )
    return [Checkpoint.of(found[each]) for each in ids]
