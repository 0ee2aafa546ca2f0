"""`compareCircuits`: what two circuits have in common and what only one of them has."""

from typing import Annotated, Any

import strawberry
from strawberry import argument

from api.questions.considered import MIXED, WHAT_IS_MIXED, consider
from api.request.batching import Info, Listing
from api.request.connection import After, Connection, First, connect
from api.request.inputs import Align, CircuitSet
from api.types.circuit import Circuit, load_circuits
from api.types.considered import MixedSetting
from api.types.feature import Feature, feature_of
from api.types.rows import columns
from schema.questions.circuits import COMPARE_EDGES, COMPARE_FEATURES, ComparedEdgeRow, ComparedFeatureRow


@strawberry.type(description="A feature in two circuits.")
class ComparedFeature:
    influence_a: float | None = strawberry.field(
        description="Influence of the feature in circuit a, 0 or more. "
        "Null when circuit a does not have it, or it is unknown."
    )
    influence_b: float | None = strawberry.field(
        description="Influence of the feature in circuit b, 0 or more. "
        "Null when circuit b does not have it, or it is unknown."
    )
    difference: float | None = strawberry.field(
        description="influenceA - influenceB. Null unless both are known."
    )
    activation_a: float | None = strawberry.field(
        description="Highest activation of the feature in circuit a. Null when circuit a does not have it."
    )
    activation_b: float | None = strawberry.field(
        description="Highest activation of the feature in circuit b. Null when circuit b does not have it."
    )
    place: int | None = strawberry.field(
        description="Position at which the circuits are aligned, "
        "from 0 at the beginning or at the end of the prompt, see `align`. "
        "Null when they are aligned freely."
    )
    positions_a: list[int] = strawberry.field(
        description="Positions of the feature in the prompt of circuit a, from 0."
    )
    positions_b: list[int] = strawberry.field(
        description="Positions of the feature in the prompt of circuit b, from 0."
    )
    feature_id: strawberry.Private[str]

    @classmethod
    def of(cls, row: ComparedFeatureRow) -> "ComparedFeature":
        return cls(feature_id=row.feature, **columns(row, without=("feature",)))

    @strawberry.field(description="The feature, with its labels.")
    def feature(self, info: Info) -> Feature:
        return feature_of(info, self.feature_id)


@strawberry.type(
    description="An effect of one feature on another in two circuits, summed over the effects that align."
)
class ComparedEffect:
    weight_a: float | None = strawberry.field(
        description="Signed weight in circuit a, summed. Null when circuit a does not have the effect."
    )
    weight_b: float | None = strawberry.field(
        description="Signed weight in circuit b, summed. Null when circuit b does not have the effect."
    )
    difference: float | None = strawberry.field(
        description="weightA - weightB. Null unless both circuits have the effect."
    )
    source_place: int | None = strawberry.field(
        description="Aligned position of the source, "
        "from 0 at the beginning or at the end of the prompt, see `align`. "
        "Null when the circuits are aligned freely."
    )
    target_place: int | None = strawberry.field(
        description="Aligned position of the target, "
        "from 0 at the beginning or at the end of the prompt, see `align`. "
        "Null when the circuits are aligned freely."
    )
    source_id: strawberry.Private[str]
    target_id: strawberry.Private[str]

    @classmethod
    def of(cls, row: ComparedEdgeRow) -> "ComparedEffect":
        return cls(source_id=row.source, target_id=row.target, **columns(row, without=("source", "target")))

    @strawberry.field(description="The feature that acts.")
    def source(self, info: Info) -> Feature:
        return feature_of(info, self.source_id)

    @strawberry.field(description="The feature that is acted on.")
    def target(self, info: Info) -> Feature:
        return feature_of(info, self.target_id)


@strawberry.type(description="Two circuits side by side.")
class CircuitComparison:
    a: Circuit = strawberry.field(description="Circuit a.")
    b: Circuit = strawberry.field(description="Circuit b.")
    align: Align = strawberry.field(description="How the positions of the two prompts are aligned.")
    mixed_settings: bool = strawberry.field(description=MIXED)
    mixed: list[MixedSetting] = strawberry.field(description=WHAT_IS_MIXED)

    @strawberry.field(description="Features that only circuit a has. The highest influence comes first.")
    def features_only_in_a(
        self, info: Info, first: First = None, after: After = None
    ) -> Connection[ComparedFeature]:
        return self._features(info, "a", first, after)

    @strawberry.field(description="Features that only circuit b has. The highest influence comes first.")
    def features_only_in_b(
        self, info: Info, first: First = None, after: After = None
    ) -> Connection[ComparedFeature]:
        return self._features(info, "b", first, after)

    @strawberry.field(
        description="Features that both circuits have. The greatest difference of influence comes first."
    )
    def features_in_both(
        self, info: Info, first: First = None, after: After = None
    ) -> Connection[ComparedFeature]:
        return self._features(info, "both", first, after)

    @strawberry.field(description="Effects that only circuit a has. The greatest |weight| comes first.")
    def edges_only_in_a(
        self, info: Info, first: First = None, after: After = None
    ) -> Connection[ComparedEffect]:
        return self._edges(info, "a", first, after)

    @strawberry.field(description="Effects that only circuit b has. The greatest |weight| comes first.")
    def edges_only_in_b(
        self, info: Info, first: First = None, after: After = None
    ) -> Connection[ComparedEffect]:
        return self._edges(info, "b", first, after)

    @strawberry.field(
        description="Effects that both circuits have. The greatest difference of weight comes first."
    )
    def edges_in_both(
        self, info: Info, first: First = None, after: After = None
    ) -> Connection[ComparedEffect]:
        return self._edges(info, "both", first, after)

    @strawberry.field(
        description="Effects that both circuits have with opposite signs. "
        "The greatest difference of weight comes first."
    )
    def edges_flipped(
        self, info: Info, first: First = None, after: After = None
    ) -> Connection[ComparedEffect]:
        return self._edges(info, "flipped", first, after)

    def _features(
        self, info: Info, part: str, first: int | None, after: str | None
    ) -> Connection[ComparedFeature]:
        listing = Listing(COMPARE_FEATURES, self._asked(part), kept={})
        return connect(info, listing, first, after, ComparedFeature.of)

    def _edges(
        self, info: Info, part: str, first: int | None, after: str | None
    ) -> Connection[ComparedEffect]:
        listing = Listing(COMPARE_EDGES, self._asked(part), kept={})
        return connect(info, listing, first, after, ComparedEffect.of)

    def _asked(self, part: str) -> dict[str, Any]:
        return {"a": self.a.id, "b": self.b.id, "align": self.align.value, "part": part}


@strawberry.type
class CompareQuery:
    @strawberry.field(description="What two circuits have in common and what only one of them has.")
    async def compare_circuits(
        self,
        info: Info,
        a: Annotated[
            strawberry.ID, argument(description="Id of circuit a. An unknown id is an error (NOT_FOUND).")
        ],
        b: Annotated[
            strawberry.ID, argument(description="Id of circuit b. An unknown id is an error (NOT_FOUND).")
        ],
        align: Annotated[
            Align, argument(description="How the positions of the two prompts are aligned.")
        ] = Align.FREE,
    ) -> CircuitComparison:
        both = await consider(info, CircuitSet(circuits=[a, b]))
        first, second = await load_circuits(info, [a, b])
        return CircuitComparison(
            a=first, b=second, align=align, mixed_settings=both.mixed_settings, mixed=both.mixed
        )
