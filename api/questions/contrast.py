"""`contrast`: what distinguishes one set of circuits from another."""

import asyncio
from enum import Enum
from typing import Annotated, Self

import strawberry
from strawberry import argument

from api.questions.considered import MIXED, WHAT_IS_MIXED, consider, mixed
from api.request.batching import Info, Listing
from api.request.connection import After, Connection, First, connect, source_of
from api.request.inputs import CircuitSet, CountBy, checked_count
from api.types.considered import Considered, MixedSetting
from api.types.counting import CountByArgument, Units, units_of
from api.types.feature import Feature, feature_of
from api.types.rows import columns
from api.types.supernode import GroupingAcross, OfAuthor, OfMethodAcross, author_of, first_fitting
from schema.counted import counted
from schema.errors import InputError
from schema.questions.question import Page
from schema.questions.sets import CONTRAST_EDGES, CONTRAST_FEATURES, CONTRAST_SUPERNODES, ContrastRow
from schema.questions.supernodes import GROUPINGS_OF_SET, GroupingAcrossRow


@strawberry.enum(
    description="Order of what distinguishes two sets. Ties are broken by number of circuits, then id."
)
class ContrastOrder(Enum):
    SEPARATION = strawberry.enum_value("separation", description="AUROCs furthest from 0.5 come first.")
    AUROC = strawberry.enum_value(
        "auroc", description="The highest AUROC comes first: most typical of the positive circuits."
    )
    LIFT = strawberry.enum_value(
        "lift", description="The highest lift comes first, led by what no negative circuit has."
    )


Order = Annotated[ContrastOrder, argument(description="Which entries come first.")]
MinCircuitsOfBoth = Annotated[
    int, argument(description="Only what at least this many circuits of both sets together have: 1 or more.")
]


@strawberry.type(
    description="How differently something occurs in two sets of circuits. "
    "Numbers of circuits count what `countBy` names: by default prompts, "
    "so that all circuits of a prompt are one."
)
class Contrast:
    n_positive: int = strawberry.field(description="Number of positive circuits that have it.")
    n_considered_positive: int = strawberry.field(
        description="Number of positive circuits that could have it: the denominator of nPositive. "
        "For features and effects, these are the circuits made with the transcoder set; "
        "for supernodes, those that have the grouping."
    )
    n_negative: int = strawberry.field(description="Number of negative circuits that have it.")
    n_considered_negative: int = strawberry.field(
        description="Number of negative circuits that could have it: the denominator of nNegative."
    )
    mean_positive: float | None = strawberry.field(
        description="Mean over the positive circuits that have it: "
        "of the influence (0 or more), or for effects of the signed weight. "
        "Null when no positive circuit has it, or its influence is unknown."
    )
    mean_negative: float | None = strawberry.field(
        description="Mean over the negative circuits that have it: "
        "of the influence (0 or more), or for effects of the signed weight. "
        "Null when no negative circuit has it, or its influence is unknown."
    )
    auroc: float | None = strawberry.field(
        description="Probability that a random positive circuit has more of it "
        "than a random negative circuit, 0 to 1; ties count half, and 0.5 means no difference. "
        "Features and supernodes are compared by influence, "
        "and circuits without it rank below all others. "
        "Effects are compared by signed weight, and circuits without it count as 0. "
        "Null when one side has no circuit that could have it."
    )
    lift: float | None = strawberry.field(
        description="Share of the positive circuits that have it / "
        "share of the negative circuits that have it, 0 or more. "
        "Null when no negative circuit has it."
    )

    @classmethod
    def of(cls, row: ContrastRow, **named: str) -> Self:
        """named: the fields of a subclass."""
        return cls(
            n_positive=row.with_positive,
            n_considered_positive=row.n_positive,
            n_negative=row.with_negative,
            n_considered_negative=row.n_negative,
            mean_positive=row.mean_positive,
            mean_negative=row.mean_negative,
            auroc=row.auroc,
            lift=row.lift,
            **named,
        )


@strawberry.type(description="How differently a feature occurs in two sets of circuits.")
class ContrastFeature(Contrast):
    feature_id: strawberry.Private[str]

    @strawberry.field(description="The feature, with its labels.")
    def feature(self, info: Info) -> Feature:
        return feature_of(info, self.feature_id)


@strawberry.type(
    description="How differently an effect of one feature on another occurs in two sets of circuits."
)
class ContrastEffect(Contrast):
    source_id: strawberry.Private[str]
    target_id: strawberry.Private[str]

    @strawberry.field(description="The feature that acts.")
    def source(self, info: Info) -> Feature:
        return feature_of(info, self.source_id)

    @strawberry.field(description="The feature that is acted on.")
    def target(self, info: Info) -> Feature:
        return feature_of(info, self.target_id)


@strawberry.type(description="How differently supernodes of one name occur in two sets of circuits.")
class ContrastSupernode(Contrast):
    label: str = strawberry.field(description="Name of the supernodes.")


@strawberry.type(description="What distinguishes two sets of circuits among the supernodes of one grouping.")
class ContrastSupernodes(Connection[ContrastSupernode]):
    grouping: GroupingAcross | None = strawberry.field(
        description="The grouping that the supernodes belong to. Null when no grouping fits the arguments."
    )


@strawberry.type(description="What distinguishes the positive circuits from the negative ones.")
class CircuitContrast:
    positive: Considered = strawberry.field(
        description="The positive circuits: the denominator on the positive side."
    )
    negative: Considered = strawberry.field(
        description="The negative circuits: the denominator on the negative side."
    )
    mixed_settings: bool = strawberry.field(description=MIXED)
    mixed: list[MixedSetting] = strawberry.field(description=WHAT_IS_MIXED)
    n_on_both_sides: int = strawberry.field(
        description="Number of units that have circuits on both sides, such as a prompt under two settings. "
        "They count on each side."
    )
    units: strawberry.Private[Units]

    @strawberry.field(description="Features, compared by influence.")
    def features(
        self,
        info: Info,
        order_by: Order = ContrastOrder.SEPARATION,
        min_circuits: MinCircuitsOfBoth = 2,
        first: First = None,
        after: After = None,
    ) -> Connection[ContrastFeature]:
        listing = Listing(CONTRAST_FEATURES, self._asked(order_by, min_circuits))
        return connect(info, listing, first, after, lambda row: ContrastFeature.of(row, feature_id=row.name))

    @strawberry.field(
        description="Effects of one feature on another, summed over positions and compared by signed weight."
    )
    def edges(
        self,
        info: Info,
        order_by: Order = ContrastOrder.SEPARATION,
        min_circuits: MinCircuitsOfBoth = 2,
        first: First = None,
        after: After = None,
    ) -> Connection[ContrastEffect]:
        def effect(row: ContrastRow) -> ContrastEffect:
            return ContrastEffect.of(row, source_id=row.name, target_id=str(row.target))

        listing = Listing(CONTRAST_EDGES, self._asked(order_by, min_circuits), kept={})
        return connect(info, listing, first, after, effect)

    @strawberry.field(
        description="Groupings of the features of the circuits in both sets. "
        "Groupings with scores come first, then those that the most circuits have."
    )
    async def groupings(self, info: Info) -> list[GroupingAcross]:
        return [GroupingAcross(**columns(row)) for row in await self._groupings(info)]

    @strawberry.field(
        description="Supernodes of one grouping, "
        "joined by name and compared by the summed influence of their members."
    )
    async def supernodes(
        self,
        info: Info,
        method: OfMethodAcross = None,
        author: OfAuthor = None,
        order_by: Order = ContrastOrder.SEPARATION,
        min_circuits: MinCircuitsOfBoth = 2,
        first: First = None,
        after: After = None,
    ) -> ContrastSupernodes:
        mine = first_fitting(await self._groupings(info), method, author)
        asked = self._asked(order_by, min_circuits) | {
            "method": "" if mine is None else mine.method,
            "author": author if mine is None else author_of(mine, author),
        }

        def entries(page: Page[ContrastRow]) -> list[ContrastSupernode]:
            return [ContrastSupernode.of(row, label=row.name) for row in page.rows]

        return ContrastSupernodes(
            grouping=None if mine is None else GroupingAcross(**columns(mine)),
            source=source_of(info, Listing(CONTRAST_SUPERNODES, asked), first, after, entries),
        )

    async def _groupings(self, info: Info) -> list[GroupingAcrossRow]:
        circuits = [*self.positive.ids, *self.negative.ids]
        return await info.context.loaders.ask(GROUPINGS_OF_SET, circuits=circuits)

    def _asked(self, order: ContrastOrder, min_circuits: int) -> dict[str, object]:
        return {
            "positive": self.positive.ids,
            "negative": self.negative.ids,
            "units": self.units.of_circuits([*self.positive.ids, *self.negative.ids]),
            "min_circuits": checked_count("minCircuits", min_circuits, 1),
            "order": order.value,
        }


@strawberry.type
class ContrastQuery:
    @strawberry.field(
        description="What distinguishes two sets of circuits: features, effects and supernodes, "
        "ranked by AUROC or lift, with the number of circuits on both sides. "
        "The sets must not overlap."
    )
    async def contrast(
        self,
        info: Info,
        positive: Annotated[CircuitSet, argument(description="The positive circuits.")],
        negative: Annotated[
            CircuitSet,
            argument(description="The negative circuits, to which the positive ones are compared."),
        ],
        count_by: CountByArgument = CountBy.PROMPTS,
    ) -> CircuitContrast:
        ours, theirs, units = await asyncio.gather(
            consider(info, positive), consider(info, negative), units_of(info, count_by)
        )
        if common := len(set(ours.ids) & set(theirs.ids)):
            raise InputError(
                f"{counted(common, 'circuit is', 'circuits are')} both in positive and in negative",
                next_step="narrow one set, for example by a tag that the other circuits do not have",
            )
        return CircuitContrast(
            positive=units.counted(ours),
            negative=units.counted(theirs),
            mixed_settings=bool(mixed(ours, theirs)),
            mixed=mixed(ours, theirs),
            n_on_both_sides=units.n_common(ours.ids, theirs.ids),
            units=units,
        )
