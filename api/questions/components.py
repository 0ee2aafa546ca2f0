"""`components`: do the heads that circuits run through matter, and how do attention and MLPs compare?"""

import asyncio
import math
from typing import Annotated, Self

import strawberry
from strawberry import argument

from api.questions.considered import require_known, set_ids
from api.request.batching import Info
from api.request.inputs import SetNames, checked_list
from schema.evidence.components import COMPONENTS, ComponentsRow, LayerEffect
from schema.evidence.ranks import SHUFFLES, agreement

SHARE = (
    "Share of the influence that crosses the layer's attention which the layer's heads carry. Parts against "
    "the sign of their effect count as negative, so the share can leave the range 0 to 1 where parts cancel. "
    "The rest goes past the heads in the residual stream, or is written above the layer only. Null when "
    "nothing crosses."
)
SIZE = "Mean absolute change of the answer's logit, less the mean over the vocabulary, in logits, 0 or more,"


@strawberry.type(description="The attention of one layer against its MLP, over the ablated circuits.")
class LayerComponents:
    layer: int = strawberry.field(description="Number of the layer, from 0.")
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
        description="Circuits of these that were ablated. All numbers below are over them."
    )
    n_heads: int = strawberry.field(
        description="Number of heads that are ranked; 0 when no circuit was ablated."
    )
    correlation: float | None = strawberry.field(
        description="Spearman's rank correlation over the heads, -1 to 1, between the mean influence "
        "through the head (every part counted as positive) and the mean absolute effect of ablating it. "
        "Null when no circuit was ablated or all heads are alike."
    )
    null95: float | None = strawberry.field(
        description=f"Correlation that 95 of 100 shuffles of the heads stay below, out of {SHUFFLES} "
        "shuffles that are always the same. Null when `correlation` is null."
    )
    p: float | None = strawberry.field(
        description="Share of the shuffles with at least this correlation, the order itself counted as one "
        "shuffle. Above 0, at most 1. Null when `correlation` is null."
    )
    attention_share: float | None = strawberry.field(
        description="`attentionShare` over all layers: influence is counted at each layer that it crosses. "
        "Null when no circuit was ablated."
    )
    attention_effect: float | None = strawberry.field(
        description="Mean of `attentionEffect` over the layers. Null when no circuit was ablated."
    )
    mlp_effect: float | None = strawberry.field(
        description="Mean of `mlpEffect` over the layers. Null when no circuit was ablated."
    )
    layers: list[LayerComponents] = strawberry.field(
        description="The layers, from 0; empty when no circuit was ablated."
    )

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
        description="Do the heads with most influence matter most to the answer, and how does attention "
        "compare with MLPs? The influence is what graphs claim; the effects are what `atlas ablate` "
        "measured. One entry for each family and model with circuits that were loaded with heads (`atlas "
        "ingest --heads`), by name."
    )
    async def components(
        self,
        info: Info,
        families: Annotated[
            list[str] | None,
            argument(description="Only circuits of these families. Unknown: an error (NOT_FOUND)."),
        ] = None,
        transcoders: SetNames = None,
    ) -> list[FamilyComponents]:
        families = checked_list(info.context.limits, "families", families)
        sets, _ = await asyncio.gather(set_ids(info, transcoders), require_known(info, families=families))
        rows = await info.context.loaders.ask(COMPONENTS, families=families, transcoders=sets)
        return [FamilyComponents.of(row) for row in rows]
