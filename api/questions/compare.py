"""`compareCircuits`: what two circuits have in common and what not."""

from typing import Annotated

import strawberry
from strawberry import argument

from api.questions.considered import MIXED, consider
from api.request.connection import After, Connection, First, connect, window
from api.request.inputs import Align, CircuitSet
from api.request.loaders import Info
from api.types.circuit import Circuit, load_circuits
from api.types.feature import Feature, feature_of
from api.types.rows import columns
from schema.questions.circuits import COMPARE_EDGES, COMPARE_FEATURES


@strawberry.type(description="A feature in two circuits; null: a circuit lacks it.")
class ComparedFeature:
    influence_a: float | None = strawberry.field(description="Its influence in circuit a.")
    influence_b: float | None = strawberry.field(description="Its influence in circuit b.")
    difference: float | None = strawberry.field(
        description="influenceA - influenceB; null unless both circuits have it."
    )
    activation_a: float | None = strawberry.field(description="Its highest activation in circuit a.")
    activation_b: float | None = strawberry.field(description="Its highest activation in circuit b.")
    place: int | None = strawberry.field(
        description="Where the two are aligned: position from 0, or from the end; null when aligned freely."
    )
    positions_a: list[int] = strawberry.field(description="Where it stands in the prompt of a, from 0.")
    positions_b: list[int] = strawberry.field(description="Where it stands in the prompt of b, from 0.")
    feature_id: strawberry.Private[str]

    @strawberry.field(description="The feature, with its labels.")
    def feature(self, info: Info) -> Feature:
        return feature_of(info, self.feature_id)


@strawberry.type(
    description="The effect of one feature on another in two circuits, what aligns added up. What a circuit "
    "lacks is null."
)
class ComparedEffect:
    weight_a: float | None = strawberry.field(description="Summed signed weight in circuit a.")
    weight_b: float | None = strawberry.field(description="Summed signed weight in circuit b.")
    difference: float | None = strawberry.field(description="weightA - weightB; null unless both have it.")
    source_place: int | None = strawberry.field(
        description="Where the source is aligned: position from 0, or from the end; null when aligned freely."
    )
    target_place: int | None = strawberry.field(description="The same of the target.")
    source_id: strawberry.Private[str]
    target_id: strawberry.Private[str]

    @strawberry.field(description="The feature that acts.")
    def source(self, info: Info) -> Feature:
        return feature_of(info, self.source_id)

    @strawberry.field(description="The feature acted on.")
    def target(self, info: Info) -> Feature:
        return feature_of(info, self.target_id)


@strawberry.type(description="Two circuits side by side.")
class CircuitComparison:
    a: Circuit = strawberry.field(description="The first circuit.")
    b: Circuit = strawberry.field(description="The second circuit.")
    align: Align = strawberry.field(description="How features and effects are aligned.")
    mixed_settings: bool = strawberry.field(description=MIXED)

    @strawberry.field(description="Features that only circuit a has, highest influence first.")
    async def features_only_in_a(
        self, info: Info, first: First = None, after: After = None
    ) -> Connection[ComparedFeature]:
        return await self._features(info, "a", first, after)

    @strawberry.field(description="Features that only circuit b has, highest influence first.")
    async def features_only_in_b(
        self, info: Info, first: First = None, after: After = None
    ) -> Connection[ComparedFeature]:
        return await self._features(info, "b", first, after)

    @strawberry.field(description="Features that both circuits have, greatest difference of influence first.")
    async def features_in_both(
        self, info: Info, first: First = None, after: After = None
    ) -> Connection[ComparedFeature]:
        return await self._features(info, "both", first, after)

    @strawberry.field(description="Effects that only circuit a has, greatest |weight| first.")
    async def edges_only_in_a(
        self, info: Info, first: First = None, after: After = None
    ) -> Connection[ComparedEffect]:
        return await self._edges(info, "a", first, after)

    @strawberry.field(description="Effects that only circuit b has, greatest |weight| first.")
    async def edges_only_in_b(
        self, info: Info, first: First = None, after: After = None
    ) -> Connection[ComparedEffect]:
        return await self._edges(info, "b", first, after)

    @strawberry.field(description="Effects that both circuits have, greatest difference of weight first.")
    async def edges_in_both(
        self, info: Info, first: First = None, after: After = None
    ) -> Connection[ComparedEffect]:
        return await self._edges(info, "both", first, after)

    @strawberry.field(
        description="Effects that both have, with opposite signs; greatest difference of weight first."
    )
    async def edges_flipped(
        self, info: Info, first: First = None, after: After = None
    ) -> Connection[ComparedEffect]:
        return await self._edges(info, "flipped", first, after)

    async def _features(
        self, info: Info, part: str, first: int | None, after: str | None
    ) -> Connection[ComparedFeature]:
        where = window(info.context.limits, first, after)
        page = await info.context.loaders.ask_page(
            COMPARE_FEATURES,
            a=self.a.id,
            b=self.b.id,
            align=self.align.value,
            part=part,
            **where._asdict(),
        )
        items = [
            ComparedFeature(feature_id=row.feature, **columns(row, without=("feature",))) for row in page.rows
        ]
        return connect(where, page.total, items)

    async def _edges(
        self, info: Info, part: str, first: int | None, after: str | None
    ) -> Connection[ComparedEffect]:
        where = window(info.context.limits, first, after)
        page = await info.context.loaders.ask_page(
            COMPARE_EDGES,
            a=self.a.id,
            b=self.b.id,
            align=self.align.value,
            part=part,
            **where._asdict(),
        )
        items = [
            ComparedEffect(
                source_id=row.source, target_id=row.target, **columns(row, without=("source", "target"))
            )
            for row in page.rows
        ]
        return connect(where, page.total, items)


@strawberry.type
class CompareQuery:
    @strawberry.field(description="What two circuits have in common and what not.")
    async def compare_circuits(
        self,
        info: Info,
        a: Annotated[strawberry.ID, argument(description="Id of a circuit. Unknown: an error (NOT_FOUND).")],
        b: Annotated[
            strawberry.ID, argument(description="Id of another one. Unknown: an error (NOT_FOUND).")
        ],
        align: Annotated[
            Align, argument(description="How the two prompts are laid over each other.")
        ] = Align.FREE,
    ) -> CircuitComparison:
        both = await consider(info, CircuitSet(circuits=[a, b]))
        first, second = await load_circuits(info, [a, b])
        return CircuitComparison(a=first, b=second, align=align, mixed_settings=both.mixed_settings)
