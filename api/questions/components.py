"""`components`: whether the heads that circuits run through matter, and attention against MLPs, by family."""

import math
from typing import Annotated, Self

import strawberry
from strawberry import argument

from api.questions.considered import require_known
from api.request.batching import Info
from api.request.inputs import checked_list
from schema.evidence.components import COMPONENTS, ComponentsRow, LayerEffect
from schema.evidence.ranks import SHUFFLES, agreement

SHARE = (
    "Of the influence of effects that cross the attention of the layer, the share that its heads carry. "
    "Parts against their effect's sign count as negative: between 0 and 1 but where parts cancel each other. "
    "The rest goes past the heads in the residual stream, or is written above the layer only. Null: nothing "
    "crosses."
)
SIZE = (
    "Mean absolute change of the answer's logit (less the mean over the vocabulary), in logits, at least 0,"
)


@strawberry.type(description="The attention of one layer against its MLP, over the ablated circuits.")
class LayerComponents:
    layer: int = strawberry.field(description="From 0.")
    attention_share: float | None = strawberry.field(description=SHARE)
    attention_effect: float = strawberry.field(
        description=f"{SIZE} when the layer's attention gives 0 at all positions."
    )
    mlp_effect: float = strawberry.field(description=f"{SIZE} when the layer's MLP gives 0 at all positions.")

    @classmethod
    def of(cls, row: LayerEffect) -> Self:
        return cls(
            layer=row.layer,
            attention_share=row.through / row.crossing if row.crossing else None,
            attention_effect=row.attention,
            mlp_effect=row.mlp,
        )


@strawberry.type(description="What the components of a model do in the circuits of one family.")
class FamilyComponents:
    family: str = strawberry.field(description="Name of the family.")
    model: strawberry.ID = strawberry.field(description="Id of the model.")
    n_considered: int = strawberry.field(description="Circuits of the family that were loaded with heads.")
    n_measured: int = strawberry.field(
        description="Of these, circuits that were ablated: everything below is over them."
    )
    n_heads: int = strawberry.field(description="Heads that are ranked; 0 when no circuit was ablated.")
    correlation: float | None = strawberry.field(
        description="Spearman's rank correlation over the heads, -1 to 1: mean influence through the head "
        "(every part positive) with the mean absolute effect of ablating it. Null: none ablated, or all "
        "heads alike."
    )
    null95: float | None = strawberry.field(
        description=f"What 95 of 100 of {SHUFFLES} shuffles of the heads stay below (always the same "
        "shuffles). Null where the correlation is."
    )
    p: float | None = strawberry.field(
        description="Share of the shuffles with at least this correlation, the order itself counted as one. "
        "Null where the correlation is."
    )
    attention_share: float | None = strawberry.field(
        description="`attentionShare` of all influence that crosses a layer, counted at each layer that it "
        "crosses. Null: none ablated."
    )
    attention_effect: float | None = strawberry.field(
        description="`attentionEffect` of the layers, their mean. Null: none ablated."
    )
    mlp_effect: float | None = strawberry.field(
        description="`mlpEffect` of the layers, their mean. Null: none ablated."
    )
    layers: list[LayerComponents] = strawberry.field(description="By layer; empty when none was ablated.")

    @classmethod
    def of(cls, row: ComponentsRow) -> Self:
        agreed = agreement([each.gross for each in row.heads], [each.size for each in row.heads])
        crossing = math.fsum(each.crossing for each in row.layers)
        n = len(row.layers)
        return cls(
            family=row.family,
            model=strawberry.ID(row.model),
            n_considered=row.considered,
            n_measured=row.measured,
            n_heads=len(row.heads),
            correlation=_known(agreed.correlation),
            null95=_known(agreed.null_95),
            p=_known(agreed.p),
            attention_share=math.fsum(each.through for each in row.layers) / crossing if crossing else None,
            attention_effect=math.fsum(each.attention for each in row.layers) / n if n else None,
            mlp_effect=math.fsum(each.mlp for each in row.layers) / n if n else None,
            layers=[LayerComponents.of(each) for each in row.layers],
        )


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


@strawberry.type
class ComponentQuery:
    @strawberry.field(
        description="Component specialisation, as graphs claim it and as `atlas ablate` measured it: do the "
        "heads with most influence matter most to the answer, and how does attention compare with MLPs? One "
        "row for each family and model that has circuits with heads (`atlas ingest --heads`), by name."
    )
    async def components(
        self,
        info: Info,
        families: Annotated[
            list[str] | None,
            argument(description="Only circuits of these families. Unknown: an error (NOT_FOUND)."),
        ] = None,
    ) -> list[FamilyComponents]:
        families = checked_list(info.context.limits, "families", families)
        await require_known(info, families=families)
        rows = await info.context.loaders.ask(COMPONENTS, families=families)
        return [FamilyComponents.of(row) for row in rows]
