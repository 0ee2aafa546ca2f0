"""`hubs`: features that occur in many circuits or connect to many features."""

import asyncio
from enum import Enum
from typing import Annotated

import strawberry
from strawberry import argument

from api.questions.considered import require_known, set_ids
from api.request.batching import Info, Listing
from api.request.connection import After, CountedConnection, First, source_of
from api.request.inputs import CountBy, SetNames, checked_count, checked_list
from api.types.counting import CountByArgument, Units, units_of
from api.types.feature import Feature, feature_of
from api.types.rows import columns
from schema.questions.question import Page
from schema.questions.structure import HUBS, HUBS_BY_UNIT, SPECIFICITY_OF_FEATURE, HubRow


@strawberry.enum(
    description="Measure by which hubs are ranked. Ties are broken by number of circuits, then id."
)
class HubBy(Enum):
    INFLUENCE = strawberry.enum_value(
        "influence",
        description="Influence, summed over circuits. In a prompt it is the mean over its circuits.",
    )
    DEGREE = strawberry.enum_value(
        "degree", description="Number of features that the feature drives or is driven by."
    )
    FREQUENCY = strawberry.enum_value(
        "frequency", description="Share of the circuits that have the feature, counted as `countBy` says."
    )


@strawberry.type(
    description="How much a feature belongs to one family of prompts. Shares are counted as `countBy` says."
)
class Specificity:
    tau: float | None = strawberry.field(
        description="Specificity index tau (Yanai et al. 2005), 0 to 1: "
        "0 when the same share of every family's circuits has the feature, "
        "1 when only circuits of one family have it. "
        "It is the mean of 1 - share / greatest share over the other families. "
        "Null when fewer than two families have circuits of the transcoder set, "
        "or no circuit of a family has the feature."
    )
    family: str | None = strawberry.field(
        description="The family with the greatest share. Null when no circuit of a family has the feature."
    )
    share: float | None = strawberry.field(
        description="Share of that family's circuits that have the feature, "
        "of those made with its transcoder set: 0 to 1. "
        "Null when no family has circuits of the transcoder set."
    )


@strawberry.type(
    name="Hub",
    description="A feature, and how much of a hub it is. Numbers of circuits count what `countBy` names: "
    "by default prompts, so that all circuits of a prompt are one. "
    "The influence in a prompt is the mean over those of its circuits where it is known.",
)
class HubFeature:
    n_circuits: int = strawberry.field(description="Number of circuits that have the feature.")
    n_considered: int = strawberry.field(
        description="Number of circuits made with the feature's transcoder set: "
        "the denominator of nCircuits. "
        "With `families`, only their circuits count here and in every other number."
    )
    frequency: float = strawberry.field(description="nCircuits / nConsidered, 0 to 1.")
    dense: bool = strawberry.field(
        description="Whether frequency is above `denseAbove`. "
        "A dense feature says little about any one prompt."
    )
    influence: float | None = strawberry.field(
        description="Influence of the feature, summed over circuits: 0 or more. "
        "Null when it is unknown in all circuits."
    )
    drives: int = strawberry.field(
        description="Number of features that this feature drives directly in at least one circuit."
    )
    driven_by: int = strawberry.field(
        description="Number of features that drive this feature directly in at least one circuit."
    )
    feature_id: strawberry.Private[str]
    units: strawberry.Private[Units]

    @classmethod
    def of(cls, row: HubRow, units: Units) -> "HubFeature":
        return cls(feature_id=row.feature, units=units, **columns(row, without=("feature",)))

    @strawberry.field(description="The feature, with its labels.")
    def feature(self, info: Info) -> Feature:
        return feature_of(info, self.feature_id)

    @strawberry.field(description="How much the feature belongs to one family.")
    async def specificity(self, info: Info) -> Specificity | None:
        row = await info.context.loaders.one(
            SPECIFICITY_OF_FEATURE, self.feature_id, units=self.units.of_all_effects
        )
        return None if row is None else Specificity(**columns(row))


@strawberry.type
class HubQuery:
    @strawberry.field(
        description="Hubs: features that occur in many circuits or connect to many features, "
        "and how specific they are for a family of prompts."
    )
    async def hubs(
        self,
        info: Info,
        by: Annotated[HubBy, argument(description="Measure by which features are ranked.")] = HubBy.FREQUENCY,
        dense: Annotated[
            bool | None,
            argument(
                description="true: only dense features. false: only features that are not dense. "
                "Left out: all features."
            ),
        ] = None,
        dense_above: Annotated[
            float,
            argument(
                description="A feature is dense when more than this share of the circuits has it: 0 to 1."
            ),
        ] = 0.5,
        min_circuits: Annotated[
            int, argument(description="Only features that at least this many circuits have: 1 or more.")
        ] = 1,
        families: Annotated[
            list[str] | None,
            argument(
                description="Only circuits of these families count, in the ranking and in every number "
                "but `specificity`. An unknown name is an error (NOT_FOUND)."
            ),
        ] = None,
        transcoders: SetNames = None,
        count_by: CountByArgument = CountBy.PROMPTS,
        first: First = None,
        after: After = None,
    ) -> CountedConnection[HubFeature]:
        families = checked_list(info.context.limits, "families", families)
        units, sets, _ = await asyncio.gather(
            units_of(info, count_by), set_ids(info, transcoders), require_known(info, families=families)
        )
        asked = {
            "families": families,
            "transcoders": sets,
            "by": by.value,
            "dense": dense,
            "dense_above": dense_above,
            "min_circuits": checked_count("minCircuits", min_circuits, 1),
        }
        shared = units.of_effects(families, sets)
        listing = (
            Listing(HUBS, asked) if shared is None else Listing(HUBS_BY_UNIT, {**asked, "units": shared})
        )

        def entries(page: Page[HubRow]) -> list[HubFeature]:
            return [HubFeature.of(row, units) for row in page.rows]

        return CountedConnection(counted_by=count_by, source=source_of(info, listing, first, after, entries))
