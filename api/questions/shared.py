"""`sharedFeatures`: features that circuits share, how typical they are, and how likely this is by chance."""

import asyncio
from enum import Enum
from typing import Annotated, Any

import strawberry
from strawberry import argument

from api.questions.considered import MIXED, WHAT_IS_MIXED, consider, mixed
from api.questions.significance import SharingTests, p_values
from api.request.batching import Info, Later, Listing
from api.request.connection import After, Connection, First, source_of
from api.request.inputs import (
    CircuitSet,
    CountBy,
    Creator,
    Match,
    SetNames,
    Slug,
    SourceUrl,
    Tool,
    checked_count,
    checked_list,
)
from api.types.considered import Considered, MixedSetting
from api.types.counting import CountByArgument, units_of
from api.types.feature import Feature, feature_of
from schema.counted import counted
from schema.errors import InputError
from schema.questions.sets import SHARED_FEATURES, Counts, SharedRow, SharedRows


@strawberry.enum(
    description="Order of shared features. "
    "Ties are broken by number of circuits in the set, then mean influence, then id."
)
class SharedOrder(Enum):
    SUPPORT = strawberry.enum_value(
        "support", description="Features that the most circuits of the set have come first."
    )
    INFLUENCE = strawberry.enum_value(
        "influence", description="Features with the highest mean influence in the set come first."
    )
    LIFT = strawberry.enum_value(
        "lift",
        description="Features that are most typical of the set come first, "
        "led by those that no circuit outside has.",
    )
    P_VALUE = strawberry.enum_value("p", description="Features that are least likely by chance come first.")


@strawberry.input(description="The circuits in which a feature should be absent or rare.")
class AbsentFrom(CircuitSet):
    max_circuits: int = strawberry.field(
        default=0, description="Largest number of these circuits that may have the feature: 0 or more."
    )


@strawberry.type(
    description="A feature that circuits of a set share, and how common it is outside the set. "
    "Numbers of circuits count what `countBy` names: by default prompts, "
    "so that all circuits of a prompt are one."
)
class SharedFeature:
    n_circuits: int = strawberry.field(description="Number of circuits of the set that have the feature.")
    n_considered: int = strawberry.field(
        description="Number of circuits of the set that could have the feature, "
        "because they were made with its transcoder set: the denominator of nCircuits."
    )
    share: float = strawberry.field(description="nCircuits / nConsidered, 0 to 1.")
    mean_influence: float | None = strawberry.field(
        description="Mean influence over the circuits of the set that have the feature, 0 or more. "
        "Circuits without it do not count as 0. "
        "Null when the influence is unknown in all of them."
    )
    n_circuits_outside: int = strawberry.field(
        description="Number of circuits outside the set that have the feature."
    )
    n_considered_outside: int = strawberry.field(
        description="Number of circuits outside the set that could have the feature, "
        "because they were made with its transcoder set: the denominator of nCircuitsOutside."
    )
    share_outside: float | None = strawberry.field(
        description="nCircuitsOutside / nConsideredOutside, 0 to 1. Null when nConsideredOutside is 0."
    )
    lift: float | None = strawberry.field(
        description="share / shareOutside, 0 or more: above 1, the feature is typical of the set. "
        "Null when no circuit outside has the feature."
    )
    feature_id: strawberry.Private[str]
    counts: strawberry.Private[Counts]
    tests: strawberry.Private[SharingTests]

    @classmethod
    def of(cls, row: SharedRow, tests: SharingTests) -> "SharedFeature":
        return cls(
            feature_id=row.feature,
            counts=Counts(row.support, row.n_inside, row.support_outside, row.n_outside),
            tests=tests,
            n_circuits=row.support,
            n_considered=row.n_inside,
            share=row.support / row.n_inside,
            mean_influence=row.influence,
            n_circuits_outside=row.support_outside,
            n_considered_outside=row.n_outside,
            share_outside=row.support_outside / row.n_outside if row.n_outside else None,
            lift=row.lift,
        )

    @strawberry.field(
        description="One-sided p-value, 0 to 1: "
        "the probability of at least nCircuits "
        "when the labels inside and outside are shuffled over the circuits that could have the feature. "
        "It is the exact result of a permutation test."
    )
    def p_value(self) -> float:
        return self.tests.p[self.counts]

    @strawberry.field(
        description="The p-value corrected "
        "for the number of features tested (Benjamini and Hochberg), 0 to 1. "
        "Among the features with a q-value of at most 0.05, about 5 % are expected to be false."
    )
    def q_value(self) -> float:
        return self.tests.q[self.counts]

    @strawberry.field(description="The feature, with its labels.")
    def feature(self, info: Info) -> Feature:
        return feature_of(info, self.feature_id)


@strawberry.type(description="The features that circuits share.")
class SharedFeatures(Connection[SharedFeature]):
    inside: strawberry.Private[Later[Considered]]
    beyond: strawberry.Private[Later[Considered]]
    common: strawberry.Private[Later[int]]

    @strawberry.field(
        description="Number of features that occur inside or outside: "
        "the number of tests that qValue corrects for. "
        "`minCircuits` does not lower it, "
        "because a choice by the result before testing would make chance look significant."
    )
    async def n_tested(self) -> int:
        page: SharedRows = (await self.source.read).page
        return page.n_tested

    @strawberry.field(description="The circuits of the set: the denominator inside.")
    async def considered(self) -> Considered:
        return await self.inside

    @strawberry.field(
        description="The circuits outside: those of `absentFrom`, "
        "or else all other circuits of the same transcoder sets. "
        "The denominator outside. Of all other circuits, those whose unit (such as the prompt) is inside "
        "are not counted in `nUnits` and in the answer."
    )
    async def outside(self) -> Considered:
        return await self.beyond

    @strawberry.field(
        description="Number of units that are inside and, through other circuits, in `absentFrom`, "
        "such as a prompt under two settings. They count on each side, "
        "so the p-values take them for independent. 0 without `absentFrom`."
    )
    async def n_on_both_sides(self) -> int:
        return await self.common

    @strawberry.field(description=MIXED)
    async def mixed_settings(self) -> bool:
        return bool(mixed(await self.inside, await self.beyond))

    @strawberry.field(description=WHAT_IS_MIXED)
    async def mixed(self) -> list[MixedSetting]:
        return mixed(await self.inside, await self.beyond)

    @classmethod
    async def ask(
        cls,
        info: Info,
        among: CircuitSet,
        min_circuits: int,
        absent_from: AbsentFrom | None,
        order: SharedOrder,
        count_by: CountBy,
        first: int | None,
        after: str | None,
    ) -> "SharedFeatures":
        asked: dict[str, Any] = {"outside": None, "max_outside": None, "min_circuits": min_circuits}
        found = Later(lambda: consider(info, among))
        units = await units_of(info, count_by)
        named = checked_list(info.context.limits, "circuits", among.circuits_alone)
        if absent_from is not None:
            asked["max_outside"] = checked_count("absentFrom.maxCircuits", absent_from.max_circuits, 0)
            outside = await consider(info, absent_from)
            asked["inside"], asked["outside"] = (await found).ids, outside.ids
            if common := len(set(asked["inside"]) & set(outside.ids)):
                raise InputError(
                    f"{counted(common, 'circuit is', 'circuits are')} both in the set and in absentFrom",
                    next_step="narrow one set, for example by a tag that the other circuits do not have",
                )
        elif named is not None:
            # The list need not wait for the circuits to be counted, which happens beside it.
            asked["inside"] = named
        else:
            asked["inside"] = (await found).ids
        asked["units"] = units.of_circuits(
            None if absent_from is None else asked["inside"] + asked["outside"]
        )

        async def inside() -> Considered:
            return units.counted(await found)

        async def beyond() -> Considered:
            if absent_from is not None:
                return units.counted(outside)
            if named is not None:
                part, whole = await asyncio.gather(found, consider(info, None, ids=False))
                sets = sorted({str(each.transcoders) for each in part.settings})
            else:
                part = await found
                sets = sorted({str(each.transcoders) for each in part.settings})
                whole = await consider(info, None, transcoders=sets, ids=False)
            return units.counted(whole.without(part), sets, part.ids)

        async def on_both_sides() -> int:
            return 0 if absent_from is None else units.n_common(asked["inside"], asked["outside"])

        if order is SharedOrder.P_VALUE:
            ask = info.context.loaders.ask_page
            counts = await ask(SHARED_FEATURES, **asked, order="support", p={}, skip=0, limit=0)
            p = {each.key: value for each, value in p_values(counts.tested).items()}
        else:
            p = {}

        def entries(page: SharedRows) -> list[SharedFeature]:
            tests = SharingTests(page.tested, page.n_tested)
            return [SharedFeature.of(row, tests) for row in page.rows]

        listing = Listing(SHARED_FEATURES, {**asked, "order": order.value, "p": p}, checked=found)
        return cls(
            inside=Later(inside),
            beyond=Later(beyond),
            common=Later(on_both_sides),
            source=source_of(info, listing, first, after, entries),
        )


@strawberry.type
class SharedQuery:
    @strawberry.field(
        description="Features that circuits share, and how common these features are outside. "
        "Name the circuits by id, family, tag, transcoder set or source. "
        "A circuit must fit everything that is given; "
        "when nothing is given, all circuits belong to the set. "
        "A tool, slug, creator or source URL that no circuit has is an error (NOT_FOUND)."
    )
    async def shared_features(
        self,
        info: Info,
        circuits: Annotated[
            list[strawberry.ID] | None,
            argument(description="Only these circuits, by id. An unknown id is an error (NOT_FOUND)."),
        ] = None,
        families: Annotated[
            list[str] | None,
            argument(description="Only circuits of these families. An unknown name is an error (NOT_FOUND)."),
        ] = None,
        tags: Annotated[
            list[str] | None,
            argument(
                description="Only circuits whose prompt has these tags, see `tagMode`. "
                "An unknown tag is an error (NOT_FOUND)."
            ),
        ] = None,
        tag_mode: Annotated[
            Match, argument(description="Whether a prompt needs all of `tags` or at least one.")
        ] = Match.ALL,
        transcoders: SetNames = None,
        tool: Tool = None,
        slug: Slug = None,
        creator: Creator = None,
        source_url: SourceUrl = None,
        min_circuits: Annotated[
            int,
            argument(
                description="Only features that at least this many circuits of the set have: 1 or more."
            ),
        ] = 2,
        absent_from: Annotated[
            AbsentFrom | None,
            argument(
                description="Only features that are absent or rare in these circuits. "
                "Left out: any feature, compared with all other circuits of the same transcoder sets."
            ),
        ] = None,
        order_by: Annotated[
            SharedOrder, argument(description="Which features come first.")
        ] = SharedOrder.SUPPORT,
        count_by: CountByArgument = CountBy.PROMPTS,
        first: First = None,
        after: After = None,
    ) -> SharedFeatures:
        return await SharedFeatures.ask(
            info,
            CircuitSet(
                circuits=circuits,
                families=families,
                tags=tags,
                tag_mode=tag_mode,
                transcoders=transcoders,
                tool=tool,
                slug=slug,
                creator=creator,
                source_url=source_url,
            ),
            checked_count("minCircuits", min_circuits, 1),
            absent_from,
            order_by,
            count_by,
            first,
            after,
        )
