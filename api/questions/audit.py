"""`errorAudit`: how far circuits can be trusted."""

from typing import Annotated

import strawberry
from strawberry import argument

from api.questions.considered import require_known, set_ids
from api.request.batching import Info, Listing
from api.request.connection import After, Connection, First, RowList, connect_keys
from api.request.inputs import SetNames, checked_list
from api.types.circuit import Circuit, load_circuits
from api.types.rows import columns
from schema.questions.audit import ERROR_BY_FAMILY, ERROR_BY_LAYER, UNTRUSTED


@strawberry.type(description="Error shares of the circuits of one family and transcoder set, before pruning.")
class FamilyError:
    family: str | None = strawberry.field(
        description="Name of the family. Null for prompts without a family."
    )
    transcoders: strawberry.ID = strawberry.field(description="Id of the transcoder set.")
    n_considered: int = strawberry.field(description="Number of circuits of this family and transcoder set.")
    n_known: int = strawberry.field(
        description="Number of these circuits whose error share is known: "
        "the denominator of `mean` and nUntrusted."
    )
    n_derived: int = strawberry.field(
        description="Number of the nKnown circuits whose error share is derived: it is that of the nodes "
        "that pruning kept (see `Circuit.errorShareLow`)."
    )
    mean: float | None = strawberry.field(
        description="Mean error share over the nKnown circuits, 0 to 1. Null when nKnown is 0."
    )
    greatest: float | None = strawberry.field(
        description="Greatest error share among the nKnown circuits, 0 to 1. Null when nKnown is 0."
    )
    n_untrusted: int = strawberry.field(
        description="Number of circuits whose error share is above `maxErrorShare`."
    )


@strawberry.type(
    description="Influence of the error nodes that pruning kept, for one layer and transcoder set."
)
class LayerError:
    transcoders: strawberry.ID = strawberry.field(description="Id of the transcoder set.")
    layer: int = strawberry.field(description="The layer, from 0.")
    n_circuits: int = strawberry.field(
        description="Number of circuits in which features or errors of this layer have influence: "
        "the sums are over these."
    )
    n_derived: int = strawberry.field(
        description="Number of the nCircuits circuits whose influence is derived: a share of all influence, "
        "so that sums over it and over other influence have no unit."
    )
    errors: float = strawberry.field(
        description="Influence of the error nodes, summed over the nCircuits circuits: 0 or more."
    )
    features: float = strawberry.field(
        description="Influence of the feature nodes, summed over the nCircuits circuits: 0 or more."
    )
    error_share: float | None = strawberry.field(
        description="errors / (errors + features), 0 to 1. "
        "Layers without influence are left out, so that it is never null."
    )


@strawberry.type(
    description="How much influence runs through error nodes, "
    "which stand for what the transcoders do not explain."
)
class ErrorAudit:
    families: strawberry.Private[list[str] | None]
    sets: strawberry.Private[list[str] | None]
    max_error_share: strawberry.Private[float]

    @strawberry.field(description="Error shares by family and transcoder set. The highest mean comes first.")
    async def by_family(self, info: Info) -> list[FamilyError]:
        rows = await info.context.loaders.ask(
            ERROR_BY_FAMILY,
            families=self.families,
            transcoders=self.sets,
            max_error_share=self.max_error_share,
        )
        return RowList(rows, lambda row: FamilyError(**columns(row)))

    @strawberry.field(description="Influence of errors and features by transcoder set and layer.")
    async def by_layer(self, info: Info) -> list[LayerError]:
        rows = await info.context.loaders.ask(ERROR_BY_LAYER, families=self.families, transcoders=self.sets)
        return RowList(rows, lambda row: LayerError(**columns(row)))

    @strawberry.field(
        description="Circuits whose error share is above `maxErrorShare`, "
        "so that they explain too little to be trusted. "
        "The highest error share comes first."
    )
    def untrusted(self, info: Info, first: First = None, after: After = None) -> Connection[Circuit]:
        asked = {
            "families": self.families,
            "transcoders": self.sets,
            "max_error_share": self.max_error_share,
        }
        return connect_keys(info, Listing(UNTRUSTED, asked), first, after, load_circuits)


@strawberry.type
class AuditQuery:
    @strawberry.field(
        description="How much influence runs through error nodes, by family, "
        "layer and transcoder set, and which circuits cannot be trusted for that reason."
    )
    async def error_audit(
        self,
        info: Info,
        families: Annotated[
            list[str] | None,
            argument(description="Only circuits of these families. An unknown name is an error (NOT_FOUND)."),
        ] = None,
        transcoders: SetNames = None,
        max_error_share: Annotated[
            float,
            argument(description="A circuit whose error share is above this is not trusted: 0 to 1."),
        ] = 0.3,
    ) -> ErrorAudit:
        families = checked_list(info.context.limits, "families", families)
        await require_known(info, families=families)
        sets = await set_ids(info, transcoders)
        return ErrorAudit(families=families, sets=sets, max_error_share=max_error_share)
