"""`modules`: communities of the feature graph, as `atlas modules compute` found them."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import argument

from api.request.connection import After, Connection, First, stretch, window
from api.request.inputs import checked_count
from api.request.limits import over_limit
from api.request.loaders import Info
from api.types.feature import Feature, feature_of
from api.types.rows import columns
from schema.questions.modules import MODULES


@strawberry.type(description="How and when modules were found.")
class Partition:
    id: strawberry.ID = strawberry.field(description="Hash of set, settings and effects.")
    transcoders: strawberry.ID = strawberry.field(description="Id of the transcoder set it groups.")
    method: str = strawberry.field(description="Algorithm and library.")
    seed: int = strawberry.field(description="Of the random numbers.")
    resolution: float = strawberry.field(description="1: plain modularity; more: smaller modules.")
    min_circuits: int = strawberry.field(description="Effects of at least this many circuits counted.")
    n_features: int = strawberry.field(description="Features with such an effect: those in a module.")
    n_effects: int = strawberry.field(description="Such effects.")
    n_modules: int = strawberry.field(description="Modules found.")
    modularity: float = strawberry.field(description="Weighted modularity: below 1, 0 for no structure.")
    null_mean: float | None = strawberry.field(
        description="Mean modularity of `nNull` rewired graphs, in which every feature keeps its number of "
        "effects: only what is above it is structure. Null when none was made."
    )
    null_sd: float | None = strawberry.field(description="Standard deviation over these graphs.")
    n_null: int = strawberry.field(description="How many rewired graphs.")
    computed_at: datetime = strawberry.field(description="When; later loads are not in it.")


@strawberry.type(description="What a module carries in one family of prompts.")
class ModuleFamily:
    family: str = strawberry.field(description="Name of the family.")
    n_features: int = strawberry.field(description="Members that circuits of the family have.")
    n_considered: int = strawberry.field(description="Circuits of the family made with the set.")
    influence: float = strawberry.field(description="Influence of the members, summed over these.")
    share: float | None = strawberry.field(
        description="Of the influence of all the set's features in the family, 0 to 1; the rest is in other "
        "modules, or in features without recurring effects. Null when none is known."
    )


@strawberry.type(description="A feature of a module.")
class ModuleMember:
    strength: float = strawberry.field(
        description="Weight of its effects on and from other members; an effect weighs |mean| times circuits."
    )
    feature_id: strawberry.Private[str]

    @strawberry.field(description="The feature, with its labels.")
    def feature(self, info: Info) -> Feature:
        return feature_of(info, self.feature_id)


@strawberry.type(description="A community of features.")
class Module:
    id: strawberry.ID = strawberry.field(description="Partition and number.")
    number: int = strawberry.field(description="From 0, the largest first.")
    n_features: int = strawberry.field(description="Its members.")
    within: float = strawberry.field(
        description="Share of its members' effects, by weight, that stay among them: 0 to 1."
    )
    families: list[ModuleFamily] = strawberry.field(
        description="The families whose circuits have some of its members, the greatest share first."
    )
    strongest: list[ModuleMember] = strawberry.field(
        description="The `strongest` members with most weight inside the module."
    )


@strawberry.type(description="Modules, the largest first.")
class Modules(Connection[Module]):
    partition: Partition | None = strawberry.field(
        description="How they were found. Null when nobody has computed any: `atlas modules compute`."
    )


@strawberry.type
class ModuleQuery:
    @strawberry.field(
        description="Into which communities the graph of features falls: features that act on each other "
        "more than chance would have it. As `atlas modules compute` found them last, or at another time."
    )
    async def modules(
        self,
        info: Info,
        transcoders: Annotated[
            strawberry.ID | None, argument(description="Id of a transcoder set; left out: of any.")
        ] = None,
        partition: Annotated[
            strawberry.ID | None,
            argument(description="One computation; left out: the newest. Unknown: an empty list."),
        ] = None,
        strongest: Annotated[
            int,
            argument(description="How many members of each module: 1 to 100 (or what the server allows)."),
        ] = 10,
        first: First = None,
        after: After = None,
    ) -> Modules:
        limits = info.context.limits
        where = window(limits, first, after)
        if checked_count("strongest", strongest, 1) > limits.page_size:
            raise over_limit(
                f"strongest: {strongest} is over the limit of {limits.page_size}",
                f"ask for strongest: {limits.page_size}",
            )
        page = await info.context.loaders.ask_page(
            MODULES, transcoders=transcoders, partition=partition, strongest=strongest, **where._asdict()
        )
        items = [
            Module(
                families=[ModuleFamily(**columns(each)) for each in row.families],
                strongest=[
                    ModuleMember(feature_id=each.feature, strength=each.strength) for each in row.strongest
                ],
                **columns(row, without=("families", "strongest")),
            )
            for row in page.rows
        ]
        made = None if page.partition is None else Partition(**columns(page.partition))
        return Modules(partition=made, **stretch(where, page.total, items)._asdict())
