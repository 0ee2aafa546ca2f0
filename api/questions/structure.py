"""`recurringEdges`, `paths` and `motifs`: effects, and combinations of effects, that recur in circuits."""

from enum import Enum
from typing import Annotated

import strawberry
from strawberry import argument

from api.questions.considered import MIXED, consider, require_known
from api.request.batching import Info, Listing
from api.request.connection import After, Connection, First, connect, source_of
from api.request.inputs import CircuitSet, MinCircuits, checked_count, checked_list, checked_text
from api.types.circuit import Circuit, circuit_of
from api.types.considered import Considered
from api.types.feature import Feature, feature_of
from api.types.node import CircuitNode, load_nodes
from api.types.rows import columns
from schema.errors import InputError, LimitError
from schema.questions.question import Page
from schema.questions.structure import (
    MOTIFS,
    PATHS,
    RECURRING_EFFECTS,
    MotifRow,
    MotifRows,
    PathRow,
    RecurringRow,
)

PATH_LENGTH = 5
"""Effects in the longest path."""
PATH_CIRCUITS = 100
"""Circuits that are searched for paths."""
PATH_BOUND = 100_000
"""Paths after which a search is given up."""
STRONG_EFFECTS = 300
"""Effects that are combined to motifs: those that the most circuits have."""


@strawberry.enum(
    description="Order of recurring effects. "
    "Ties are broken by number of circuits, then |mean weight|, then ids."
)
class EffectOrder(Enum):
    CIRCUITS = strawberry.enum_value(
        "circuits", description="Effects that the most circuits have come first."
    )
    WEIGHT = strawberry.enum_value(
        "weight", description="Effects with the greatest |mean weight| come first."
    )
    SHARE = strawberry.enum_value(
        "share", description="Effects with the greatest nCircuits / nConsidered come first."
    )


@strawberry.type(
    description="A recurring effect: a direct effect of one feature on another in several circuits, "
    "summed over positions."
)
class RecurringEdge:
    n_circuits: int = strawberry.field(
        description="Number of circuits that have the effect: 1 or more. "
        "With `families`, only their circuits count."
    )
    n_considered: int = strawberry.field(
        description="Number of circuits that have both features: the denominator of nCircuits. "
        "A circuit without one of the features cannot show the effect."
    )
    mean: float = strawberry.field(
        description="Mean signed weight over the nCircuits circuits that have the effect. "
        "A weight is in units of the target's pre-activation."
    )
    sd: float = strawberry.field(
        description="Standard deviation of the weight over the nCircuits circuits, 0 or more."
    )
    sign_consistency: float = strawberry.field(
        description="Share of the nCircuits circuits "
        "in which the weight has the more frequent sign: 0.5 to 1. "
        "It is below 0.5 only when some weights are exactly 0."
    )
    source_id: strawberry.Private[str]
    target_id: strawberry.Private[str]

    @classmethod
    def of(cls, row: RecurringRow) -> "RecurringEdge":
        return cls(
            source_id=row.source,
            target_id=row.target,
            n_considered=row.both,
            **columns(row, without=("source", "target", "both")),
        )

    @strawberry.field(description="The feature that acts.")
    def source(self, info: Info) -> Feature:
        return feature_of(info, self.source_id)

    @strawberry.field(description="The feature that is acted on.")
    def target(self, info: Info) -> Feature:
        return feature_of(info, self.target_id)


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


@strawberry.enum(description="Shape of a motif: how its three nodes are connected.")
class MotifShape(Enum):
    CHAIN = strawberry.enum_value(
        "chain", description="A feature drives a second feature, which drives a third."
    )
    TRIANGLE = strawberry.enum_value(
        "triangle", description="A chain whose first feature also drives the third directly."
    )
    OUTPUT = strawberry.enum_value(
        "output",
        description="A feature drives a second feature, which drives a logit. "
        "The logit is given by its token.",
    )


@strawberry.type(
    description="A recurring sub-circuit of two or three features. "
    "Its effects meet at the same nodes of a circuit."
)
class Motif:
    n_circuits: int = strawberry.field(
        description="Number of circuits that have the motif, of those in `considered`."
    )
    product: float = strawberry.field(
        description="Product of the chain's two signed weights, "
        "summed within a circuit: the mean over the nCircuits circuits."
    )
    direct: float | None = strawberry.field(
        description="Mean signed weight of the first feature's direct effect on the third, "
        "over the circuits that have it. "
        "Null for outputs, and for chains that have no direct effect in any circuit."
    )
    sign_consistency: float = strawberry.field(
        description="Share of the nCircuits circuits "
        "in which the product has the more frequent sign: 0.5 to 1. "
        "It is below 0.5 only when some products are exactly 0."
    )
    token: str | None = strawberry.field(
        description="Token of the logit, for outputs. Null for chains and triangles."
    )
    first_id: strawberry.Private[str]
    second_id: strawberry.Private[str]
    third_id: strawberry.Private[str | None]

    @classmethod
    def of(cls, row: MotifRow) -> "Motif":
        return cls(
            first_id=row.first,
            second_id=row.second,
            third_id=row.third,
            **columns(row, without=("first", "second", "third")),
        )

    @strawberry.field(description="The feature at which the motif begins.")
    def first(self, info: Info) -> Feature:
        return feature_of(info, self.first_id)

    @strawberry.field(description="The feature in the middle.")
    def second(self, info: Info) -> Feature:
        return feature_of(info, self.second_id)

    @strawberry.field(description="The feature at which the motif ends. Null for outputs.")
    def third(self, info: Info) -> Feature | None:
        return None if self.third_id is None else feature_of(info, self.third_id)


@strawberry.type(
    description="Motifs. Those that the most circuits have come first, "
    "then those with the greatest |product|."
)
class Motifs(Connection[Motif]):
    considered: Considered = strawberry.field(
        description="The circuits that were searched: the denominator of nCircuits."
    )
    mixed_settings: bool = strawberry.field(description=MIXED)

    @strawberry.field(
        description="Whether motifs may be missing. "
        f"Only the {STRONG_EFFECTS} effects that the most circuits have are combined; "
        "this is true when more effects recur in minSupport circuits. "
        "To see all motifs, raise minSupport."
    )
    async def truncated(self) -> bool:
        page: MotifRows = (await self.source.read).page
        return page.truncated


@strawberry.type
class StructureQuery:
    @strawberry.field(
        description="Recurring effects: which effects of one feature on another occur in several circuits."
    )
    async def recurring_edges(
        self,
        info: Info,
        min_circuits: MinCircuits = 2,
        sign_consistency: Annotated[
            float,
            argument(
                description="Only effects whose more frequent sign "
                "occurs in at least this share of their circuits: 0 to 1."
            ),
        ] = 0.9,
        families: Annotated[
            list[str] | None,
            argument(description="Only circuits of these families. An unknown name is an error (NOT_FOUND)."),
        ] = None,
        order_by: Annotated[
            EffectOrder, argument(description="Which effects come first.")
        ] = EffectOrder.CIRCUITS,
        first: First = None,
        after: After = None,
    ) -> Connection[RecurringEdge]:
        families = checked_list(info.context.limits, "families", families)
        await require_known(info, families=families)
        asked = {
            "families": families,
            "min_circuits": checked_count("minCircuits", min_circuits, 1),
            "sign_consistency": sign_consistency,
            "order": order_by.value,
            "denominators": info.context.loaders.may_read("nConsidered"),
        }
        return connect(info, Listing(RECURRING_EFFECTS, asked), first, after, RecurringEdge.of)

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
            source=source_of(info, Listing(PATHS, asked), first, after, _paths),
        )

    @strawberry.field(description="Recurring sub-circuits of three nodes.")
    async def motifs(
        self,
        info: Info,
        min_support: Annotated[
            int, argument(description="Only motifs that at least this many circuits have: 2 or more.")
        ],
        shape: Annotated[
            MotifShape, argument(description="How the three nodes are connected.")
        ] = MotifShape.CHAIN,
        among: Annotated[
            CircuitSet | None, argument(description="Only circuits of this set. Left out: all circuits.")
        ] = None,
        first: First = None,
        after: After = None,
    ) -> Motifs:
        considered = await consider(info, among, ids=among is not None)
        asked = {
            "shape": shape.value,
            "circuits": None if among is None else considered.ids,
            "min_support": checked_count("minSupport", min_support, 2),
            "strong": STRONG_EFFECTS,
        }

        def entries(page: MotifRows) -> list[Motif]:
            return [Motif.of(row) for row in page.rows]

        return Motifs(
            considered=considered,
            mixed_settings=considered.mixed_settings,
            source=source_of(info, Listing(MOTIFS, asked), first, after, entries),
        )
