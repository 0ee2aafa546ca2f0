"""`hubs`: features that are in, or connected to, much of everything."""

from enum import Enum
from typing import Annotated

import strawberry
from strawberry import argument

from api.request.connection import After, Connection, First, connect, window
from api.request.inputs import checked_count
from api.request.loaders import Info
from api.types.feature import Feature, feature_of
from api.types.rows import columns
from schema.questions.structure import HUBS, SPECIFICITY_OF_FEATURE


@strawberry.enum(description="What makes a hub; ties: by circuits and id.")
class HubBy(Enum):
    INFLUENCE = strawberry.enum_value("influence", description="Influence, summed over all circuits.")
    DEGREE = strawberry.enum_value("degree", description="How many features it drives or is driven by.")
    FREQUENCY = strawberry.enum_value("frequency", description="Share of the circuits that have it.")


@strawberry.type(description="How much a feature belongs to one family of prompts.")
class Specificity:
    tau: float | None = strawberry.field(
        description="0: an equal share of every family's circuits has it; 1: those of one family alone. "
        "Mean over "
        "the other families of 1 - share / greatest share. Null with fewer than two families."
    )
    family: str | None = strawberry.field(description="The family with the greatest share.")
    share: float | None = strawberry.field(
        description="That share: of the family's circuits made with the feature's transcoder set, 0 to 1."
    )


@strawberry.type(description="A feature and how much of a hub it is.")
class Hub:
    n_circuits: int = strawberry.field(description="Circuits that have it.")
    n_considered: int = strawberry.field(description="Circuits made with its transcoder set.")
    frequency: float = strawberry.field(description="nCircuits / nConsidered, 0 to 1.")
    dense: bool = strawberry.field(
        description="Whether frequency is above `denseAbove`: it says little about any one prompt."
    )
    influence: float | None = strawberry.field(
        description="Its influence, summed over circuits; null when unknown in all of them."
    )
    drives: int = strawberry.field(description="How many features it drives directly in some circuit.")
    driven_by: int = strawberry.field(description="How many features drive it directly in some circuit.")
    feature_id: strawberry.Private[str]

    @strawberry.field(description="The feature, with its labels.")
    def feature(self, info: Info) -> Feature:
        return feature_of(info, self.feature_id)

    @strawberry.field(description="How much it belongs to one family.")
    async def specificity(self, info: Info) -> Specificity | None:
        row = await info.context.loaders.one(SPECIFICITY_OF_FEATURE, self.feature_id)
        return None if row is None else Specificity(**columns(row))


@strawberry.type
class HubQuery:
    @strawberry.field(
        description="Which features are hubs, and how specific they are for a family of prompts."
    )
    async def hubs(
        self,
        info: Info,
        by: Annotated[HubBy, argument(description="What makes a hub.")] = HubBy.FREQUENCY,
        dense: Annotated[
            bool | None,
            argument(description="True: only dense features; false: none of them; left out: all."),
        ] = None,
        dense_above: Annotated[
            float,
            argument(
                description="A feature is dense when it is in more than this share of circuits: 0 to 1."
            ),
        ] = 0.5,
        min_circuits: Annotated[
            int, argument(description="Only features that at least this many circuits have: 1 or more.")
        ] = 1,
        first: First = None,
        after: After = None,
    ) -> Connection[Hub]:
        where = window(info.context.limits, first, after)
        page = await info.context.loaders.ask_page(
            HUBS,
            by=by.value,
            dense=dense,
            dense_above=dense_above,
            min_circuits=checked_count("minCircuits", min_circuits, 1),
            **where._asdict(),
        )
        items = [Hub(feature_id=row.feature, **columns(row, without=("feature",))) for row in page.rows]
        return connect(where, page.total, items)
