"""`motifs`: sub-circuits of three nodes that recur in circuits."""

import asyncio
from enum import Enum
from typing import Annotated

import strawberry
from strawberry import argument

from api.questions.considered import MIXED, WHAT_IS_MIXED, consider
from api.request.batching import Info, Listing
from api.request.connection import After, Connection, First, source_of
from api.request.inputs import CircuitSet, CountBy, checked_count
from api.types.considered import Considered, MixedSetting
from api.types.counting import CountByArgument, units_of
from api.types.feature import Feature, feature_of
from api.types.rows import columns
from schema.questions.structure import MOTIFS, MotifRow, MotifRows

STRONG_EFFECTS = 300
"""Effects that are combined to motifs: those that the most circuits of the set have."""


@strawberry.enum(description="Shape of a motif: how its three nodes are connected.")
class MotifShape(Enum):
    CHAIN = strawberry.enum_value(
        "chain", description="A feature drives a second feature, which drives a third."
    )
    TRIANGLE = strawberry.enum_value(
        "triangle", description="A chain whose first feature also drives the third directly."
    )
    OUTPUT = strawberry.enum_value(
        "output",
        description="A feature drives a second feature, which drives a logit. "
        "The logit is given by its token.",
    )


@strawberry.type(
    description="A recurring sub-circuit of two or three features. "
    "Its effects meet at the same nodes of a circuit. "
    "Numbers of circuits count what `countBy` names: by default prompts, so that all circuits of a prompt "
    "are one. The product in a prompt is the mean over those of its circuits that have the motif."
)
class Motif:
    n_circuits: int = strawberry.field(
        description="Number of circuits that have the motif, of those in `considered`."
    )
    product: float = strawberry.field(
        description="Product of the chain's two signed weights, "
        "summed within a circuit: the mean over the nCircuits circuits."
    )
    direct: float | None = strawberry.field(
        description="Mean signed weight of the first feature's direct effect on the third, "
        "over the circuits that have it. "
        "Null for outputs, and for chains that have no direct effect in any circuit."
    )
    sign_consistency: float = strawberry.field(
        description="Share of the nCircuits circuits "
        "in which the product has the more frequent sign: 0.5 to 1. "
        "It is below 0.5 only when some products are exactly 0."
    )
    token: str | None = strawberry.field(
        description="Token of the logit, for outputs. Null for chains and triangles."
    )
    first_id: strawberry.Private[str]
    second_id: strawberry.Private[str]
    third_id: strawberry.Private[str | None]

    @classmethod
    def of(cls, row: MotifRow) -> "Motif":
        return cls(
            first_id=row.first,
            second_id=row.second,
            third_id=row.third,
            **columns(row, without=("first", "second", "third")),
        )

    @strawberry.field(description="The feature at which the motif begins.")
    def first(self, info: Info) -> Feature:
        return feature_of(info, self.first_id)

    @strawberry.field(description="The feature in the middle.")
    def second(self, info: Info) -> Feature:
        return feature_of(info, self.second_id)

    @strawberry.field(description="The feature at which the motif ends. Null for outputs.")
    def third(self, info: Info) -> Feature | None:
        return None if self.third_id is None else feature_of(info, self.third_id)


@strawberry.type(
    description="Motifs. Those that the most circuits have come first, "
    "then those with the greatest |product|."
)
class Motifs(Connection[Motif]):
    considered: Considered = strawberry.field(
        description="The circuits that were searched. `nUnits` is the denominator of nCircuits: "
        "how many prompts they are, or what `countBy` says."
    )
    mixed_settings: bool = strawberry.field(description=MIXED)
    mixed: list[MixedSetting] = strawberry.field(description=WHAT_IS_MIXED)

    @strawberry.field(
        description="Whether motifs may be missing. "
        f"Only the {STRONG_EFFECTS} effects that the most circuits of the set have are combined, "
        "counted as `countBy` says; "
        "this is true when more effects recur in minSupport of these circuits. "
        "To see all motifs, raise minSupport."
    )
    async def truncated(self) -> bool:
        page: MotifRows = (await self.source.read).page
        return page.truncated

    @strawberry.field(
        description="Number of effects of one feature on another "
        "that at least minSupport circuits of the set have, counted as `countBy` says."
    )
    async def n_effects(self) -> int:
        page: MotifRows = (await self.source.read).page
        return page.n_effects

    @strawberry.field(
        description="Number of these effects that were combined to motifs: "
        "those that the most circuits have. The others, nEffects - nCombined, were left out."
    )
    async def n_combined(self) -> int:
        page: MotifRows = (await self.source.read).page
        return page.n_combined


@strawberry.type
class MotifQuery:
    @strawberry.field(description="Recurring sub-circuits of three nodes.")
    async def motifs(
        self,
        info: Info,
        min_support: Annotated[
            int, argument(description="Only motifs that at least this many circuits have: 2 or more.")
        ],
        shape: Annotated[
            MotifShape, argument(description="How the three nodes are connected.")
        ] = MotifShape.CHAIN,
        among: Annotated[
            CircuitSet | None, argument(description="Only circuits of this set. Left out: all circuits.")
        ] = None,
        count_by: CountByArgument = CountBy.PROMPTS,
        first: First = None,
        after: After = None,
    ) -> Motifs:
        considered, units = await asyncio.gather(
            consider(info, among, ids=among is not None), units_of(info, count_by)
        )
        circuits = None if among is None else considered.ids
        asked = {
            "shape": shape.value,
            "circuits": circuits,
            "family": None if among is None else among.family_alone,
            "min_support": checked_count("minSupport", min_support, 2),
            "strong": STRONG_EFFECTS,
            "units": units.of_effects(circuits=circuits),
        }

        def entries(page: MotifRows) -> list[Motif]:
            return [Motif.of(row) for row in page.rows]

        return Motifs(
            considered=units.counted(considered, considered.sets if circuits is None else None),
            mixed_settings=considered.mixed_settings,
            mixed=considered.mixed,
            source=source_of(info, Listing(MOTIFS, asked), first, after, entries),
        )
