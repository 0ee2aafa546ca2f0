"""`paths`: chains of direct effects between tokens, features, supernodes and logits."""

from typing import Annotated

import strawberry
from strawberry import argument

from api.questions.considered import MIXED, WHAT_IS_MIXED, consider, require_known
from api.request.batching import Info, Listing
from api.request.connection import After, Connection, First, source_of
from api.request.inputs import CircuitSet, checked_text
from api.types.circuit import Circuit, circuit_of
from api.types.considered import Considered, MixedSetting
from api.types.node import CircuitNode, load_nodes
from api.types.rows import columns
from schema.errors import InputError, LimitError
from schema.questions.question import Page
from schema.questions.structure import PATHS, PathRow

PATH_LENGTH = 5
"""Effects in the longest path."""
PATH_CIRCUITS = 100
"""Circuits that are searched for paths."""
PATH_BOUND = 100_000
"""Paths after which a search is given up."""


@strawberry.input(description="One end of a path. Give exactly one of the four fields.", one_of=True)
class PathEnd:
    feature: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET,
        description="Id of a feature. The path may begin or end at any of its positions.",
    )
    token: str | None = strawberry.field(
        default=strawberry.UNSET, description="Text of a token of the prompt, without the blanks around it."
    )
    logit: str | None = strawberry.field(
        default=strawberry.UNSET, description="Text of the token of a logit, without the blanks around it."
    )
    supernode: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="Name of supernodes. The path begins or ends at one of their members.",
    )

    def kind_and_name(self) -> tuple[str, str]:
        """Name and value of the field that is given. Raises InputError when none is."""
        for kind in ("feature", "token", "logit", "supernode"):
            value = getattr(self, kind)
            if value is not strawberry.UNSET and value is not None:
                return kind, value
        raise InputError("One end of the path is empty", next_step="give feature, token, logit or supernode")


@strawberry.type(description="A chain of direct effects in one circuit.")
class EffectPath:
    product: float = strawberry.field(description="Product of the signed weights.")
    flow: float | None = strawberry.field(
        description="Part of the last node's input that comes along this path: "
        "the product of the effects' shares with the sign of `product`, -1 to 1. "
        "Null when a share is unknown."
    )
    weights: list[float] = strawberry.field(
        description="The signed weights of the effects, from the first to the last."
    )
    circuit_id: strawberry.Private[str]
    node_ids: strawberry.Private[list[str]]

    @strawberry.field(description="The nodes, from the first to the last: one more than there are weights.")
    async def nodes(self, info: Info) -> list[CircuitNode]:
        return await load_nodes(info, self.node_ids)

    @strawberry.field(description="The circuit that the path is in.")
    def circuit(self, info: Info) -> Circuit:
        return circuit_of(info, self.circuit_id)


@strawberry.type(description="Chains of direct effects. Paths with the greatest |product| come first.")
class EffectPaths(Connection[EffectPath]):
    considered: Considered = strawberry.field(description="The circuits that were searched.")
    mixed_settings: bool = strawberry.field(description=MIXED)
    mixed: list[MixedSetting] = strawberry.field(description=WHAT_IS_MIXED)


def _paths(page: Page[PathRow]) -> list[EffectPath]:
    """Raises LimitError when there are more paths than the search goes through."""
    if page.total > PATH_BOUND:
        raise LimitError(
            f"There are more than {PATH_BOUND} such paths",
            next_step="raise minWeight, lower maxLength, or name fewer circuits",
        )
    return [
        EffectPath(circuit_id=row.circuit, node_ids=row.nodes, **columns(row, without=("circuit", "nodes")))
        for row in page.rows
    ]


@strawberry.type
class PathQuery:
    @strawberry.field(
        description="Chains of direct effects between tokens, features, "
        "supernodes and logits, circuit by circuit."
    )
    async def paths(
        self,
        info: Info,
        from_: Annotated[PathEnd, argument(name="from", description="Where the paths begin.")],
        to: Annotated[PathEnd, argument(description="Where the paths end.")],
        in_circuits: Annotated[
            CircuitSet, argument(description=f"The circuits to search: at most {PATH_CIRCUITS}.")
        ],
        max_length: Annotated[
            int, argument(description=f"Largest number of effects in a path: 1 to {PATH_LENGTH}.")
        ] = 3,
        min_weight: Annotated[
            float, argument(description="Only effects with at least this |weight|: 0 or more.")
        ] = 0.01,
        first: First = None,
        after: After = None,
    ) -> EffectPaths:
        limits = info.context.limits
        if not 1 <= max_length <= PATH_LENGTH:
            raise InputError(
                f"maxLength: {max_length} is out of range", next_step=f"give a number from 1 to {PATH_LENGTH}"
            )
        (source_kind, source), (target_kind, target) = from_.kind_and_name(), to.kind_and_name()
        features = [
            name for kind, name in ((source_kind, source), (target_kind, target)) if kind == "feature"
        ]
        await require_known(info, features=features)
        considered = await consider(info, in_circuits)
        if considered.n_circuits > PATH_CIRCUITS:
            raise LimitError(
                f"inCircuits: {considered.n_circuits} circuits are over the limit of {PATH_CIRCUITS}",
                next_step="name circuits by id, or narrow them by family and tags",
            )
        asked = {
            "circuits": considered.ids,
            "source_kind": source_kind,
            "source": checked_text(limits, "from", source),
            "target_kind": target_kind,
            "target": checked_text(limits, "to", target),
            "max_length": max_length,
            "min_weight": min_weight,
            "bound": PATH_BOUND,
        }
        return EffectPaths(
            considered=considered,
            mixed_settings=considered.mixed_settings,
            mixed=considered.mixed,
            source=source_of(info, Listing(PATHS, asked), first, after, _paths),
        )
