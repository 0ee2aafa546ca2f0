"""`recurringEdges`: effects of one feature on another that recur in circuits."""

import asyncio
from enum import Enum
from typing import Annotated

import strawberry
from strawberry import argument

from api.questions.considered import consider, require_known, set_ids
from api.request.batching import Info, Later, Listing
from api.request.connection import After, Connection, First, source_of
from api.request.inputs import CircuitSet, CountBy, MinCircuits, SetNames, checked_count, checked_list
from api.types.considered import Considered
from api.types.counting import CountByArgument, units_of
from api.types.feature import Feature, feature_of
from api.types.rows import columns
from schema.questions.question import Page
from schema.questions.structure import CIRCUITS_OF_BOTH, RECURRING_EFFECTS, RecurringRow


@strawberry.enum(
    description="Order of recurring effects. "
    "Ties are broken by number of circuits, then |mean weight|, then ids."
)
class EffectOrder(Enum):
    CIRCUITS = strawberry.enum_value(
        "circuits", description="Effects that the most circuits have come first."
    )
    WEIGHT = strawberry.enum_value(
        "weight", description="Effects with the greatest |mean weight| come first."
    )
    SHARE = strawberry.enum_value(
        "share", description="Effects with the greatest nCircuits / nConsidered come first."
    )


Denominators = dict[tuple[str, str], int]
"""Source and target → number of circuits that have both features."""


@strawberry.type(
    description="A recurring effect: a direct effect of one feature on another in several circuits, "
    "summed over positions. Numbers of circuits count what `countBy` names: by default prompts, "
    "so that all circuits of a prompt are one. The weight in a prompt is the mean over its circuits."
)
class RecurringEdge:
    n_circuits: int = strawberry.field(
        description="Number of circuits that have the effect: 1 or more. "
        "With `families`, only their circuits count."
    )
    mean: float = strawberry.field(
        description="Mean signed weight over the nCircuits circuits that have the effect. "
        "A weight is in units of the target's pre-activation."
    )
    sd: float = strawberry.field(
        description="Standard deviation of the weight over the nCircuits circuits, 0 or more."
    )
    sign_consistency: float = strawberry.field(
        description="Share of the nCircuits circuits "
        "in which the weight has the more frequent sign: 0.5 to 1. "
        "It is below 0.5 only when some weights are exactly 0."
    )
    source_id: strawberry.Private[str]
    target_id: strawberry.Private[str]
    both: strawberry.Private[int | None]
    """Circuits that have both features; None when `denominators` has it."""
    denominators: strawberry.Private[Later[Denominators]]
    """Of all effects of the page."""

    @classmethod
    def of(cls, row: RecurringRow, denominators: Later[Denominators]) -> "RecurringEdge":
        return cls(
            source_id=row.source,
            target_id=row.target,
            denominators=denominators,
            **columns(row, without=("source", "target")),
        )

    @strawberry.field(
        description="Number of circuits that have both features: the denominator of nCircuits. "
        "A circuit without one of the features cannot show the effect."
    )
    async def n_considered(self) -> int:
        if self.both is not None:
            return self.both
        return (await self.denominators)[self.source_id, self.target_id]

    @strawberry.field(description="The feature that acts.")
    def source(self, info: Info) -> Feature:
        return feature_of(info, self.source_id)

    @strawberry.field(description="The feature that is acted on.")
    def target(self, info: Info) -> Feature:
        return feature_of(info, self.target_id)


@strawberry.type(description="The effects that recur.")
class RecurringEdges(Connection[RecurringEdge]):
    counted: strawberry.Private[Later[Considered]]

    @strawberry.field(
        description="The circuits that were looked at: all, or those of `families`. "
        "`nUnits` says how many prompts they are, or what `countBy` says."
    )
    async def considered(self) -> Considered:
        return await self.counted


@strawberry.type
class RecurringEdgeQuery:
    @strawberry.field(
        description="Recurring effects: which effects of one feature on another occur in several circuits."
    )
    async def recurring_edges(
        self,
        info: Info,
        min_circuits: MinCircuits = 2,
        sign_consistency: Annotated[
            float,
            argument(
                description="Only effects whose more frequent sign "
                "occurs in at least this share of their circuits: 0 to 1."
            ),
        ] = 0.9,
        families: Annotated[
            list[str] | None,
            argument(description="Only circuits of these families. An unknown name is an error (NOT_FOUND)."),
        ] = None,
        transcoders: SetNames = None,
        order_by: Annotated[
            EffectOrder, argument(description="Which effects come first.")
        ] = EffectOrder.CIRCUITS,
        count_by: CountByArgument = CountBy.PROMPTS,
        first: First = None,
        after: After = None,
    ) -> RecurringEdges:
        families = checked_list(info.context.limits, "families", families)
        units, sets, _ = await asyncio.gather(
            units_of(info, count_by), set_ids(info, transcoders), require_known(info, families=families)
        )

        async def counted() -> Considered:
            return units.counted(await consider(info, CircuitSet(families=families), transcoders=sets))

        def entries(page: Page[RecurringRow]) -> list[RecurringEdge]:
            async def both() -> Denominators:
                rows = await info.context.loaders.ask(
                    CIRCUITS_OF_BOTH,
                    keys=[[row.source, row.target] for row in page.rows],
                    families=families,
                    units=asked["units"],
                )
                return {(row.key[0], row.key[1]): row.both for row in rows}

            denominators = Later(both)
            return [RecurringEdge.of(row, denominators) for row in page.rows]

        asked = {
            "families": families,
            "transcoders": sets,
            "min_circuits": checked_count("minCircuits", min_circuits, 1),
            "sign_consistency": sign_consistency,
            "order": order_by.value,
            "denominators": info.context.loaders.may_read("nConsidered"),
            "units": units.of_effects(families, sets),
        }
        # An index sorts the effects of all circuits and of one family. Other lists are computed whole.
        whole = (
            asked["units"] is not None
            or sets is not None
            or (families is not None and len(families) != 1)
            or order_by is not EffectOrder.CIRCUITS
        )
        listing = Listing(RECURRING_EFFECTS, asked, kept={"denominators": False} if whole else None)
        return RecurringEdges(
            counted=Later(counted),
            source=source_of(info, listing, first, after, entries),
        )
