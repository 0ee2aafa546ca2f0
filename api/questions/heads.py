"""`headsByFamily`: how much influence runs through each attention head in the circuits of a family."""

from typing import Annotated

import strawberry
from strawberry import argument

from api.questions.considered import require_known, set_ids
from api.request.batching import Info
from api.request.inputs import SetNames, checked_list
from api.types.heads import NET
from api.types.rows import columns
from schema.questions.heads import HEADS_BY_FAMILY


@strawberry.type(
    description="How much influence runs through one attention head in the circuits of a family."
)
class FamilyHead:
    family: str = strawberry.field(description="Name of the family.")
    model: strawberry.ID = strawberry.field(description="Id of the model.")
    layer: int = strawberry.field(description="Layer of the head, from 0.")
    head: int = strawberry.field(description="Number of the head in its layer, from 0.")
    n_considered: int = strawberry.field(
        description="Number of circuits of the family and model that were loaded with heads: "
        "`net` and `gross` are means over these."
    )
    net: float = strawberry.field(description=f"Mean influence through the head, signed; {NET}.")
    gross: float = strawberry.field(
        description="Mean influence through the head, 0 or more; every part counts as positive."
    )
    n_measured: int = strawberry.field(
        description="Number of circuits in which the head was ablated (`atlas ablate`): "
        "`effect` and `effectSize` are means over these."
    )
    effect: float | None = strawberry.field(
        description="Mean change, in logits, of the answer's logit less the mean over the vocabulary, "
        "when the head outputs 0 at all positions. "
        "Negative when the head helps the answer. "
        "Null when the head was never ablated."
    )
    effect_size: float | None = strawberry.field(
        description="Mean absolute value of that change, in logits. Null when the head was never ablated."
    )


@strawberry.type
class HeadQuery:
    @strawberry.field(
        description="Component specialisation: "
        "through which attention heads the circuits of each family run. "
        "Heads are sorted by family; the head with the most influence comes first. "
        "Only circuits that were loaded with heads (`atlas ingest --heads`) count."
    )
    async def heads_by_family(
        self,
        info: Info,
        families: Annotated[
            list[str] | None,
            argument(description="Only circuits of these families. An unknown name is an error (NOT_FOUND)."),
        ] = None,
        transcoders: SetNames = None,
    ) -> list[FamilyHead]:
        families = checked_list(info.context.limits, "families", families)
        await require_known(info, families=families)
        rows = await info.context.loaders.ask(
            HEADS_BY_FAMILY, families=families, transcoders=await set_ids(info, transcoders)
        )
        return [
            FamilyHead(
                n_considered=row.considered,
                n_measured=row.measured,
                **columns(row, without=("considered", "measured")),
            )
            for row in rows
        ]
