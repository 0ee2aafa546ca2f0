"""What recurs in circuits: `recurringEdges`, `paths`, `motifs`."""

from enum import Enum
from typing import Annotated

import strawberry
from strawberry import argument

from api.questions.considered import MIXED, consider, require_known
from api.request.connection import After, Connection, First, connect, stretch, window
from api.request.inputs import CircuitSet, MinCircuits, checked_count, checked_list, checked_text
from api.request.loaders import Info
from api.types.circuit import Circuit, circuit_of
from api.types.considered import Considered
from api.types.feature import Feature, feature_of
from api.types.node import CircuitNode, load_nodes
from api.types.rows import columns
from schema.errors import InputError, LimitError
from schema.questions.structure import MOTIFS, PATHS, RECURRING_EFFECTS

PATH_LENGTH = 5
PATH_CIRCUITS = 100
PATH_BOUND = 100_000
STRONG_EFFECTS = 300


@strawberry.enum(description="Order of recurring effects; ties: by circuits, |mean weight| and ids.")
class EffectOrder(Enum):
    CIRCUITS = strawberry.enum_value("circuits", description="Those of most circuits first.")
    WEIGHT = strawberry.enum_value("weight", description="Greatest |mean weight| first.")
    SHARE = strawberry.enum_value("share", description="Greatest nCircuits / nConsidered first.")


@strawberry.type(description="An effect of one feature on another that recurs, positions taken together.")
class RecurringEdge:
    n_circuits: int = strawberry.field(description="Circuits (of the families, if given) that have it.")
    n_considered: int = strawberry.field(
        description="Circuits that have both features; in the others the effect could not be seen."
    )
    mean: float = strawberry.field(description="Mean weight over the circuits that have the effect, signed.")
    sd: float = strawberry.field(description="Standard deviation of that weight.")
    sign_consistency: float = strawberry.field(
        description="Share of the circuits in which the weight has the commoner sign, 0 to 1."
    )
    source_id: strawberry.Private[str]
    target_id: strawberry.Private[str]

    @strawberry.field(description="The feature that acts.")
    def source(self, info: Info) -> Feature:
        return feature_of(info, self.source_id)

    @strawberry.field(description="The feature acted on.")
    def target(self, info: Info) -> Feature:
        return feature_of(info, self.target_id)


@strawberry.input(description="An end of a path. Give exactly one of the four.", one_of=True)
class PathEnd:
    feature: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="A feature, by id, at all its positions."
    )
    token: str | None = strawberry.field(
        default=strawberry.UNSET, description="Tokens of the prompt, blanks around them left out."
    )
    logit: str | None = strawberry.field(
        default=strawberry.UNSET, description="Logits, by their token, blanks around it left out."
    )
    supernode: str | None = strawberry.field(
        default=strawberry.UNSET, description="The members of supernodes of this label."
    )

    def kind_and_name(self) -> tuple[str, str]:
        """Which of the four, and its value."""
        for kind in ("feature", "token", "logit", "supernode"):
            value = getattr(self, kind)
            if value is not strawberry.UNSET and value is not None:
                return kind, value
        raise InputError(
            "A path's end is given by nothing", next_step="give feature, token, logit or supernode"
        )


@strawberry.type(description="A chain of direct effects in one circuit.")
class EffectPath:
    product: float = strawberry.field(description="Product of the signed weights.")
    flow: float | None = strawberry.field(
        description="Product of the shares, with the sign of `product`: what part of the last node's input "
        "comes "
        "this way, -1 to 1. Null when a share is unknown."
    )
    weights: list[float] = strawberry.field(description="The signed weights, from the beginning on.")
    circuit_id: strawberry.Private[str]
    node_ids: strawberry.Private[list[str]]

    @strawberry.field(description="The nodes, from the beginning on: one more than weights.")
    async def nodes(self, info: Info) -> list[CircuitNode]:
        return await load_nodes(info, self.node_ids)

    @strawberry.field(description="The circuit it lies in.")
    def circuit(self, info: Info) -> Circuit:
        return circuit_of(info, self.circuit_id)


@strawberry.type(description="Chains of direct effects, the greatest |product| first.")
class EffectPaths(Connection[EffectPath]):
    considered: Considered = strawberry.field(description="The circuits looked through.")
    mixed_settings: bool = strawberry.field(description=MIXED)


@strawberry.enum(description="Shape of a motif of three.")
class MotifShape(Enum):
    CHAIN = strawberry.enum_value("chain", description="A feature drives a second, which drives a third.")
    TRIANGLE = strawberry.enum_value(
        "triangle", description="A chain whose first feature drives the third directly, too."
    )
    OUTPUT = strawberry.enum_value(
        "output", description="A feature drives a second, which drives a logit, told by its token."
    )


@strawberry.type(description="A small sub-circuit that recurs, its ends joined at the same nodes.")
class Motif:
    n_circuits: int = strawberry.field(description="Circuits (of `among` if given) that have it.")
    product: float = strawberry.field(
        description="Product of the chain's two signed weights, summed in a circuit, mean over its circuits."
    )
    direct: float | None = strawberry.field(
        description="Triangles, and chains that are triangles in some circuit: mean weight of the direct "
        "effect."
    )
    sign_consistency: float = strawberry.field(
        description="Share of the circuits in which the product has the commoner sign, 0 to 1."
    )
    token: str | None = strawberry.field(description="Outputs: the token of the logit; null otherwise.")
    first_id: strawberry.Private[str]
    second_id: strawberry.Private[str]
    third_id: strawberry.Private[str | None]

    @strawberry.field(description="Where it begins.")
    def first(self, info: Info) -> Feature:
        return feature_of(info, self.first_id)

    @strawberry.field(description="The feature in the middle.")
    def second(self, info: Info) -> Feature:
        return feature_of(info, self.second_id)

    @strawberry.field(description="Where it ends; null for outputs.")
    def third(self, info: Info) -> Feature | None:
        return None if self.third_id is None else feature_of(info, self.third_id)


@strawberry.type(description="Motifs, those of most circuits first, then by |product|.")
class Motifs(Connection[Motif]):
    considered: Considered = strawberry.field(description="The denominator: the circuits looked through.")
    mixed_settings: bool = strawberry.field(description=MIXED)
    truncated: bool = strawberry.field(
        description=f"Only the {STRONG_EFFECTS} effects of most circuits are combined. True: more than "
        f"these recur "
        "in minSupport circuits, so that motifs may be missing; raise minSupport."
    )


@strawberry.type
class StructureQuery:
    @strawberry.field(
        description="Which effects of one feature on another recur, over all circuits or those of some "
        "families."
    )
    async def recurring_edges(
        self,
        info: Info,
        min_circuits: MinCircuits = 2,
        sign_consistency: Annotated[
            float,
            argument(description="The commoner sign must have at least this share of the circuits: 0 to 1."),
        ] = 0.9,
        families: Annotated[
            list[str] | None,
            argument(description="Only circuits of these families. Unknown: an error (NOT_FOUND)."),
        ] = None,
        order_by: Annotated[EffectOrder, argument(description="Which come first.")] = EffectOrder.CIRCUITS,
        first: First = None,
        after: After = None,
    ) -> Connection[RecurringEdge]:
        where = window(info.context.limits, first, after)
        families = checked_list(info.context.limits, "families", families)
        await require_known(info, families=families)
        page = await info.context.loaders.ask_page(
            RECURRING_EFFECTS,
            families=families,
            min_circuits=checked_count("minCircuits", min_circuits, 1),
            sign_consistency=sign_consistency,
            order=order_by.value,
            denominators=info.context.loaders.may_want("n_considered"),
            **where._asdict(),
        )
        items = [
            RecurringEdge(
                source_id=row.source,
                target_id=row.target,
                n_considered=row.both,
                **columns(row, without=("source", "target", "both")),
            )
            for row in page.rows
        ]
        return connect(where, page.total, items)

    @strawberry.field(
        description="Along which chains of direct effects one thing acts on another, between tokens, "
        "features, "
        "supernodes and logits."
    )
    async def paths(
        self,
        info: Info,
        from_: Annotated[PathEnd, argument(name="from", description="Where they begin.")],
        to: Annotated[PathEnd, argument(description="Where they end.")],
        in_circuits: Annotated[
            CircuitSet, argument(description=f"Where to look: at most {PATH_CIRCUITS} circuits.")
        ],
        max_length: Annotated[
            int, argument(description=f"At most this many effects in a row: 1 to {PATH_LENGTH}.")
        ] = 3,
        min_weight: Annotated[
            float, argument(description="Only effects of at least this |weight|: 0 or more.")
        ] = 0.01,
        first: First = None,
        after: After = None,
    ) -> EffectPaths:
        limits = info.context.limits
        where = window(limits, first, after)
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
        page = await info.context.loaders.ask_page(
            PATHS,
            circuits=considered.ids,
            source_kind=source_kind,
            source=checked_text(limits, "from", source),
            target_kind=target_kind,
            target=checked_text(limits, "to", target),
            max_length=max_length,
            min_weight=min_weight,
            bound=PATH_BOUND,
            **where._asdict(),
        )
        if page.total > PATH_BOUND:
            raise LimitError(
                f"There are more than {PATH_BOUND} such paths",
                next_step="raise minWeight, lower maxLength, or name fewer circuits",
            )
        items = [
            EffectPath(
                circuit_id=row.circuit, node_ids=row.nodes, **columns(row, without=("circuit", "nodes"))
            )
            for row in page.rows
        ]
        return EffectPaths(
            considered=considered,
            mixed_settings=considered.mixed_settings,
            **stretch(where, page.total, items)._asdict(),
        )

    @strawberry.field(description="Which small sub-circuits of three recur.")
    async def motifs(
        self,
        info: Info,
        min_support: Annotated[
            int, argument(description="Only motifs that at least this many circuits have: 2 or more.")
        ],
        shape: Annotated[MotifShape, argument(description="How the three hang together.")] = MotifShape.CHAIN,
        among: Annotated[CircuitSet | None, argument(description="Only circuits of this set.")] = None,
        first: First = None,
        after: After = None,
    ) -> Motifs:
        where = window(info.context.limits, first, after)
        considered = await consider(info, among, ids=among is not None)
        page = await info.context.loaders.ask_page(
            MOTIFS,
            shape=shape.value,
            circuits=None if among is None else considered.ids,
            min_support=checked_count("minSupport", min_support, 2),
            strong=STRONG_EFFECTS,
            **where._asdict(),
        )
        items = [
            Motif(
                first_id=row.first,
                second_id=row.second,
                third_id=row.third,
                **columns(row, without=("first", "second", "third")),
            )
            for row in page.rows
        ]
        return Motifs(
            considered=considered,
            mixed_settings=considered.mixed_settings,
            truncated=page.truncated,
            **stretch(where, page.total, items)._asdict(),
        )
