"""`flowStages`: how much influence the stages of circuits carry, and where it comes from."""

from math import fsum
from typing import Annotated

import strawberry
from strawberry import argument

from api.questions.considered import require_known
from api.request.inputs import checked_list
from api.request.loaders import Info
from schema.circuit.influence import SOURCES, STAGES
from schema.questions.flow import FLOW_STAGES


@strawberry.type(description="What one stage gets from one kind of source.")
class StageInput:
    source: str = strawberry.field(
        description="`tokens`; `early`, `middle` or `late` features; `errors`, what transcoders miss; "
        "`other` sources that are nodes; `pruned`, effects that pruning took away."
    )
    influence: float = strawberry.field(description="Mean over the circuits considered.")
    share: float | None = strawberry.field(description="Of what the stage carries; null when that is 0.")


@strawberry.type(description="One stage of attribution flow.")
class FlowStage:
    stage: str = strawberry.field(
        description="`early`, `middle` or `late`: features of that third of the model's layers; `logits`."
    )
    influence: float = strawberry.field(
        description="Influence of its nodes on the target in the unpruned graph (logits: their probability), "
        "summed, mean over the circuits considered."
    )
    inputs: list[StageInput] = strawberry.field(description="Where it comes from: the parts sum to it.")


@strawberry.type(description="Influence from tokens through early, middle and late features to the logits.")
class FlowStages:
    n_circuits: int = strawberry.field(description="Circuits asked for.")
    n_considered: int = strawberry.field(
        description="Of these, circuits whose influences and shares are known: the means are over these."
    )
    stages: list[FlowStage] = strawberry.field(description="From the tokens up; none without circuits.")


@strawberry.type
class FlowQuery:
    @strawberry.field(
        description="How much influence each stage carries (early, middle and late features, logits), from "
        "where, how much enters from error nodes, and how much was pruned away."
    )
    async def flow_stages(
        self,
        info: Info,
        families: Annotated[
            list[str] | None,
            argument(description="Only circuits of these families. Unknown: an error (NOT_FOUND)."),
        ] = None,
    ) -> FlowStages:
        families = checked_list(info.context.limits, "families", families)
        await require_known(info, families=families)
        (row,) = await info.context.loaders.ask(FLOW_STAGES, families=families)
        found = {(flow.stage, flow.source): flow.influence for flow in row.flows}
        stages = []
        for stage in STAGES if row.n_considered else ():
            given = {source: found.get((stage, source), 0.0) for source in SOURCES}
            total = fsum(given.values())
            inputs = [
                StageInput(source=source, influence=value, share=value / total if total else None)
                for source, value in given.items()
            ]
            stages.append(FlowStage(stage=stage, influence=total, inputs=inputs))
        return FlowStages(n_circuits=row.n_circuits, n_considered=row.n_considered, stages=stages)
