"""`feature` and `features`: one feature by its id, and lists of features by label, layer and family."""

import asyncio
from typing import Annotated

import strawberry
from strawberry import argument

from api.questions.considered import require_known, set_ids
from api.request.batching import Info, Listing, next_page
from api.request.connection import After, CountedConnection, First, source_of
from api.request.inputs import CountBy, FeatureOrder, checked_count, checked_list, checked_text
from api.types.counting import CountByArgument, units_of
from api.types.feature import PAGES, Feature, load_features
from schema.errors import InputError
from schema.questions.features import FEATURES, FEATURES_BY_COUNT, FEATURES_BY_ID, FEATURES_BY_UNIT
from schema.questions.question import Page, full_text


@strawberry.type
class FeatureQuery:
    @strawberry.field(description="One feature. Null when no circuit in the database has ever had it.")
    async def feature(
        self,
        info: Info,
        id: Annotated[
            strawberry.ID,
            argument(description="Id of the feature, `set@revision/layer/index`, as `features` gives it."),
        ],
    ) -> Feature | None:
        row = await info.context.loaders.owner_of(FEATURES_BY_ID, id, await next_page(info, PAGES))
        return None if row is None else Feature.of(row)

    @strawberry.field(
        description="Features by label, layer and family. "
        "`minCircuits` and `orderBy` count what `countBy` names."
    )
    async def features(
        self,
        info: Info,
        search: Annotated[
            str | None,
            argument(
                description="Words of a label; each may be the beginning of a word. "
                "A label must contain all of them."
            ),
        ] = None,
        layer: Annotated[int | None, argument(description="Only features of this layer, from 0.")] = None,
        family: Annotated[
            str | None,
            argument(description="Only circuits of this family count for `minCircuits` and `orderBy`."),
        ] = None,
        families: Annotated[
            list[str] | None,
            argument(
                description="Only circuits of these families count for `minCircuits` and `orderBy`. "
                "Give either `family` or `families`. An unknown name is an error (NOT_FOUND)."
            ),
        ] = None,
        transcoders: Annotated[
            list[str] | None,
            argument(
                description="Only features of these transcoder sets, by id or name. "
                "An unknown one is an error (NOT_FOUND)."
            ),
        ] = None,
        min_circuits: Annotated[
            int, argument(description="Only features that at least this many circuits have: 1 or more.")
        ] = 1,
        order_by: Annotated[
            FeatureOrder, argument(description="Which features come first.")
        ] = FeatureOrder.CIRCUITS,
        count_by: CountByArgument = CountBy.PROMPTS,
        first: First = None,
        after: After = None,
    ) -> CountedConnection[Feature]:
        limits = info.context.limits
        search = checked_text(limits, "search", search)
        least = checked_count("minCircuits", min_circuits, 1)
        families = checked_list(limits, "families", families)
        if families is not None and family is not None:
            raise InputError("family, families: both are given", next_step="give the families, or one family")
        shared, sets, _ = await asyncio.gather(
            units_of(info, count_by), set_ids(info, transcoders), require_known(info, families=families)
        )
        if family is not None:
            families = [family]
        units = shared.of_effects(families, sets)
        narrowed = search is not None or layer is not None or families is not None or sets is not None
        if not narrowed and order_by is FeatureOrder.CIRCUITS and units is None:
            listing = Listing(FEATURES_BY_COUNT, {"min_circuits": least})
        else:
            asked = {
                "search": None if search is None else full_text(search),
                "layer": layer,
                "families": families,
                "transcoders": sets,
                "min_circuits": least,
                "order": order_by.value,
            }
            listing = (
                Listing(FEATURES, asked)
                if units is None
                else Listing(FEATURES_BY_UNIT, {**asked, "units": units})
            )

        async def entries(page: Page[str]) -> list[Feature]:
            return await load_features(info, page.rows)

        return CountedConnection(counted_by=count_by, source=source_of(info, listing, first, after, entries))
