"""`modules`: communities of the feature graph, as `atlas modules compute` found them."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import argument

from api.questions.considered import require_known
from api.request.batching import Info, Listing
from api.request.connection import After, Connection, First, source_of
from api.request.inputs import checked_count, checked_list
from api.types.feature import Feature, feature_of
from api.types.rows import columns
from schema.errors import LimitError
from schema.questions.modules import MODULES, ModuleRow, ModuleRows


@strawberry.type(description="One computation of modules: its settings, its date and its quality.")
class Partition:
    id: strawberry.ID = strawberry.field(description="Hash of transcoder set, settings and effects.")
    transcoders: strawberry.ID = strawberry.field(
        description="Id of the transcoder set whose features are grouped."
    )
    method: str = strawberry.field(description="Algorithm and library.")
    seed: int = strawberry.field(description="Seed of the random numbers.")
    resolution: float = strawberry.field(
        description="Resolution of the modularity: 1 is plain modularity; larger values give smaller modules."
    )
    min_circuits: int = strawberry.field(
        description="Only effects that at least this many circuits have were used. "
        "Circuits of one prompt counted as several."
    )
    n_features: int = strawberry.field(
        description="Number of features with such an effect. Each of them is in one module."
    )
    n_effects: int = strawberry.field(description="Number of effects used.")
    n_modules: int = strawberry.field(description="Number of modules found.")
    modularity: float = strawberry.field(
        description="Weighted modularity, below 1. It is 0 without structure."
    )
    null_mean: float | None = strawberry.field(
        description="Mean modularity of the nNull rewired graphs, "
        "in which every feature keeps its number of effects. "
        "Only modularity above this mean is evidence of structure. "
        "Null when nNull is 0."
    )
    null_sd: float | None = strawberry.field(
        description="Standard deviation of the modularity over the nNull rewired graphs. "
        "Null when nNull is 0."
    )
    n_null: int = strawberry.field(description="Number of rewired graphs.")
    computed_at: datetime = strawberry.field(
        description="Time of the computation. Circuits loaded later are not part of it."
    )


@strawberry.type(description="Influence of a module in the circuits of one family of prompts.")
class ModuleFamily:
    family: str = strawberry.field(description="Name of the family.")
    n_features: int = strawberry.field(description="Number of members that circuits of the family have.")
    n_considered: int = strawberry.field(
        description="Number of circuits of the family made with the transcoder set."
    )
    influence: float | None = strawberry.field(
        description="Influence of the members, summed over the nConsidered circuits: 0 or more. Null when "
        "unknown in all of them."
    )
    share: float | None = strawberry.field(
        description="Share of the influence of all the transcoder set's features in the family, 0 to 1. "
        "The rest belongs to other modules and to features without recurring effects. "
        "Null when no influence is known."
    )


@strawberry.type(description="A feature of a module.")
class ModuleMember:
    strength: float = strawberry.field(
        description="Summed weight of the feature's effects on and from other members, 0 or more. "
        "The weight of an effect is |mean weight| times its number of circuits."
    )
    feature_id: strawberry.Private[str]

    @strawberry.field(description="The feature, with its labels.")
    def feature(self, info: Info) -> Feature:
        return feature_of(info, self.feature_id)


@strawberry.type(description="A community of features.")
class Module:
    id: strawberry.ID = strawberry.field(description="Id of the partition, then the number of the module.")
    number: int = strawberry.field(
        description="Number of the module in its partition, from 0. The largest module is 0."
    )
    n_features: int = strawberry.field(description="Number of members.")
    within: float = strawberry.field(
        description="Share of the summed weight of its members' effects that stays inside the module, 0 to 1."
    )
    families: list[ModuleFamily] = strawberry.field(
        description="Families whose circuits have some of the members. The greatest share comes first."
    )
    strongest: list[ModuleMember] = strawberry.field(
        description="The members with the greatest strength inside the module, "
        "as many as the argument `strongest` says."
    )

    @classmethod
    def of(cls, row: ModuleRow) -> "Module":
        strongest = [ModuleMember(feature_id=each.feature, strength=each.strength) for each in row.strongest]
        return cls(
            families=[ModuleFamily(**columns(each)) for each in row.families],
            strongest=strongest,
            **columns(row, without=("families", "strongest")),
        )


@strawberry.type(description="Modules of one partition. The largest come first.")
class Modules(Connection[Module]):
    @strawberry.field(
        description="The computation that found the modules. "
        "Null when there is none: run `atlas modules compute`."
    )
    async def partition(self) -> Partition | None:
        found: ModuleRows = (await self.source.read).page
        return None if found.partition is None else Partition(**columns(found.partition))


@strawberry.type
class ModuleQuery:
    @strawberry.field(
        description="Modules: communities of features that act on each other "
        "more than chance would explain, as `atlas modules compute` found them. "
        "The newest computation is used unless `partition` names another."
    )
    async def modules(
        self,
        info: Info,
        transcoders: Annotated[
            strawberry.ID | None,
            argument(description="Id or name of a transcoder set. Left out: any transcoder set."),
        ] = None,
        families: Annotated[
            list[str] | None,
            argument(
                description="Only these families are listed. Modules without a feature in their circuits are "
                "left out, and the modules with the most influence there come first. "
                "An unknown name is an error (NOT_FOUND). Left out: the largest modules come first."
            ),
        ] = None,
        partition: Annotated[
            strawberry.ID | None,
            argument(
                description="Id of one computation. Left out: the newest. An unknown id gives an empty list."
            ),
        ] = None,
        strongest: Annotated[
            int,
            argument(
                description="Number of members to list for each module: 1 to 100 (or the server's own limit)."
            ),
        ] = 10,
        first: First = None,
        after: After = None,
    ) -> Modules:
        limits = info.context.limits
        if checked_count("strongest", strongest, 1) > limits.page_size:
            raise LimitError(
                f"strongest: {strongest} is over the limit of {limits.page_size}",
                next_step=f"ask for strongest: {limits.page_size}",
            )
        families = checked_list(limits, "families", families)
        await require_known(info, families=families)
        asked = {
            "transcoders": transcoders,
            "families": families,
            "partition": partition,
            "strongest": strongest,
        }

        def entries(page: ModuleRows) -> list[Module]:
            return [Module.of(row) for row in page.rows]

        return Modules(source=source_of(info, Listing(MODULES, asked), first, after, entries))
