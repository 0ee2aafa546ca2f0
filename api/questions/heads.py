"""Attention heads: what they carry of an effect, of a circuit, and of the circuits of a family."""

from typing import Annotated

import strawberry
from strawberry import argument

from api.questions.considered import require_known
from api.request.inputs import checked_list
from api.request.loaders import Info
from api.types.heads import NET
from api.types.rows import columns
from schema.questions.heads import HEADS_BY_FAMILY


@strawberry.type(description="How much of a family's circuits runs through one attention head.")
class FamilyHead:
    family: str = strawberry.field(description="Name of the family.")
    model: strawberry.ID = strawberry.field(description="Id of the model.")
    layer: int = strawberry.field(description="Layer of the head, from 0.")
    head: int = strawberry.field(description="Its number in the layer, from 0.")
    n_considered: int = strawberry.field(
        description="Circuits of the family and model that were loaded with heads: the means are over these."
    )
    net: float = strawberry.field(description=f"Mean influence through it; {NET}.")
    gross: float = strawberry.field(description="Mean influence through it, every part counted as positive.")
    n_measured: int = strawberry.field(
        description="Of these circuits, the ones in which it was ablated (`atlas ablate`): both effects are "
        "means over them."
    )
    effect: float | None = strawberry.field(
        description="Mean change of the answer's logit (less the mean over the vocabulary), in logits, when "
        "the head gives 0 at all positions; negative where the head helps. Null: nowhere ablated."
    )
    effect_size: float | None = strawberry.field(
        description="The same, every change counted as positive. Null: nowhere ablated."
    )


@strawberry.type
class HeadQuery:
    @strawberry.field(
        description="Through which attention heads the circuits of each family run: component "
        "specialisation. Family by family, the head with most influence first. Only circuits that were "
        "loaded with heads (`atlas ingest --heads`) count."
    )
    async def heads_by_family(
        self,
        info: Info,
        families: Annotated[
            list[str] | None,
            argument(description="Only circuits of these families. Unknown: an error (NOT_FOUND)."),
        ] = None,
    ) -> list[FamilyHead]:
        families = checked_list(info.context.limits, "families", families)
        await require_known(info, families=families)
        rows = await info.context.loaders.ask(HEADS_BY_FAMILY, families=families)
        return [
            FamilyHead(
                n_considered=row.considered,
                n_measured=row.measured,
                **columns(row, without=("considered", "measured")),
            )
            for row in rows
        ]
