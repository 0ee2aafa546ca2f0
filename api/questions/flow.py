"""`flowStages`: how much influence each stage of the circuits has, and where it comes from."""

from math import fsum
from typing import Annotated

import strawberry
from strawberry import argument

from api.questions.considered import require_known, set_ids
from api.request.batching import Info
from api.request.inputs import SetNames, checked_list
from schema.circuit.influence import SOURCES, STAGES
from schema.questions.flow import FLOW_STAGES


@strawberry.type(description="Influence that one stage gets from one kind of source.")
class StageInput:
    source: str = strawberry.field(
        description="`tokens`; features of the `early`, `middle` or `late` stage; `errors`, "
        "for what the transcoders miss; `other` kinds of source nodes; "
        "`pruned`, for effects that pruning removed."
    )
    influence: float | None = strawberry.field(
        description="Mean influence over the nConsidered circuits, 0 or more. Null for `pruned` when all "
        "these circuits are derived; when some are, they count here as 0."
    )
    share: float | None = strawberry.field(
        description="Share of the stage's influence that comes from this source, 0 to 1. "
        "Null when the stage's influence is 0."
    )


@strawberry.type(description="One stage of the flow of influence through a model.")
class FlowStage:
    stage: str = strawberry.field(
        description="`early`, `middle` or `late` for the features of that third of the model's layers; "
        "`logits` for the logits."
    )
    influence: float = strawberry.field(
        description="Influence of the stage's nodes on the target in the unpruned graph, "
        "summed; for logits, their probability. "
        "Mean over the nConsidered circuits, 0 or more."
    )
    inputs: list[StageInput] = strawberry.field(
        description="Sources of the stage's influence. Their influences sum to the stage's."
    )


@strawberry.type(description="Influence from tokens through early, middle and late features to the logits.")
class FlowStages:
    n_circuits: int = strawberry.field(description="Number of circuits of the families asked for.")
    n_considered: int = strawberry.field(
        description="Number of these circuits whose influences, "
        "shares and layers are all known: the means are over these."
    )
    n_derived: int = strawberry.field(
        description="Number of the nConsidered circuits whose influences or shares are derived: their "
        "influence is a share of all influence, and nothing is known of their pruned inputs."
    )
    stages: list[FlowStage] = strawberry.field(
        description="The stages, from the lowest layers to the logits. Empty when nConsidered is 0."
    )


@strawberry.type
class FlowQuery:
    @strawberry.field(
        description="How much influence each stage of the model has (early, middle and late features, "
        "logits), where it comes from, "
        "how much enters from error nodes, and how much was pruned away."
    )
    async def flow_stages(
        self,
        info: Info,
        families: Annotated[
            list[str] | None,
            argument(description="Only circuits of these families. An unknown name is an error (NOT_FOUND)."),
        ] = None,
        transcoders: SetNames = None,
    ) -> FlowStages:
        families = checked_list(info.context.limits, "families", families)
        await require_known(info, families=families)
        (row,) = await info.context.loaders.ask(
            FLOW_STAGES, families=families, transcoders=await set_ids(info, transcoders)
        )
        found = {(flow.stage, flow.source): flow.influence for flow in row.flows}
        stages = []
        for stage in STAGES if row.n_considered else ():
            given = {source: found.get((stage, source), 0.0) for source in SOURCES}
            total = fsum(given.values())
            known = dict[str, float | None](given)
            if row.n_derived == row.n_considered:
                known["pruned"] = None
            inputs = [
                StageInput(
                    source=source,
                    influence=value,
                    share=value / total if total and value is not None else None,
                )
                for source, value in known.items()
            ]
            stages.append(FlowStage(stage=stage, influence=total, inputs=inputs))
        return FlowStages(
            n_circuits=row.n_circuits, n_considered=row.n_considered, n_derived=row.n_derived, stages=stages
        )
