"""GraphQL types of the graph itself: circuits, their nodes and effects, features and supernodes.

They lead to each other, so they live in one file. Fields here ask the database another question, through the
request's loaders; what is known without one comes from `types_plain`.
"""

from typing import Annotated

import strawberry

from api.request.connection import After, Connection, First, connect, window
from api.request.inputs import Kind, MinCircuits, checked_count, node_label
from api.request.loaders import Info
from api.types.circuit_graph import CircuitWhole
from api.types.feature_facts import FeatureFacts
from api.types.groupings import Grouping, OfAuthor, OfMethod, grouping_key
from api.types.heads import EffectHeads, head_parts
from api.types.plain import NodeFacts, Prompt, Run, SupernodeFacts, TranscoderSet, columns
from schema.circuit.records import NodeKind
from schema.questions import core as queries


def circuit_of(info: Info, id: str) -> "Circuit":
    return info.context.loaders.fact(queries.CIRCUITS_BY_ID, id, Circuit.of)


def feature_of(info: Info, id: str) -> "Feature":
    return info.context.loaders.fact(queries.FEATURES_BY_ID, id, Feature.of)


def node_of(info: Info, id: str) -> "CircuitNode":
    return info.context.loaders.fact(queries.NODES_BY_ID, id, CircuitNode.of)


def supernode_of(info: Info, id: str) -> "Supernode":
    return info.context.loaders.fact(queries.SUPERNODES_BY_ID, id, Supernode.of)


async def load_circuits(info: Info, ids: list[str]) -> list["Circuit"]:
    """The circuits that exist, in the order of the ids."""
    return [Circuit.of(row) for row in await info.context.loaders.all_of(queries.CIRCUITS_BY_ID, ids)]


async def load_features(info: Info, ids: list[str]) -> list["Feature"]:
    """The features that exist, in the order of the ids."""
    return [Feature.of(row) for row in await info.context.loaders.all_of(queries.FEATURES_BY_ID, ids)]


async def load_nodes(info: Info, ids: list[str]) -> list["CircuitNode"]:
    """The nodes that exist, in the order of the ids."""
    return [CircuitNode.of(row) for row in await info.context.loaders.all_of(queries.NODES_BY_ID, ids)]


async def load_supernodes(info: Info, ids: list[str]) -> list["Supernode"]:
    """The supernodes that exist, in the order of the ids."""
    return [Supernode.of(row) for row in await info.context.loaders.all_of(queries.SUPERNODES_BY_ID, ids)]


@strawberry.type(description="A direct effect of a node on a logit.")
class LogitEffect:
    weight: float = strawberry.field(
        description="Signed effect on the logit, the node's activation folded in."
    )
    share: float | None = strawberry.field(
        description="|weight| over that of all inputs of the logit, 0 to 1."
    )
    node_id: strawberry.Private[str]

    @strawberry.field(description="The logit's node: its token and probability.")
    def logit(self, info: Info) -> "CircuitNode":
        return node_of(info, self.node_id)


@strawberry.type(description="A feature at one position of one circuit.")
class Occurrence:
    position: int = strawberry.field(description="Position in the prompt, from 0.")
    position_from_end: int = strawberry.field(
        description="Positions to the end of the prompt; 0 is the last token."
    )
    token: str | None = strawberry.field(description="The token at this position.")
    activation: float | None = strawberry.field(description="Activation of the feature here.")
    influence: float | None = strawberry.field(
        description="Raw influence on the target logits in the unpruned graph, 0 or more, when known."
    )
    logits: list[LogitEffect] = strawberry.field(
        description="The logits it leads to directly (after pruning), strongest effect first."
    )

    @classmethod
    def of(cls, row: queries.OccurrenceRow) -> "Occurrence":
        logits = [LogitEffect(node_id=each.pop("node"), **each) for each in map(dict, row.logits)]
        return cls(logits=logits, **columns(row, without=("node", "logits")))


@strawberry.type(description="What a feature does in a circuit, all its positions together.")
class FeatureUse:
    influence: float | None = strawberry.field(
        description="Summed raw influence of its nodes on the target logits, 0 or more, when known."
    )
    activation: float | None = strawberry.field(description="Highest activation among its nodes.")
    positions: list[int] = strawberry.field(description="Where it stands in the prompt, from 0.")
    circuit_id: strawberry.Private[str]
    feature_id: strawberry.Private[str]

    @classmethod
    def of(cls, row: queries.UseRow) -> "FeatureUse":
        return cls(
            circuit_id=row.circuit, feature_id=row.feature, **columns(row, without=("circuit", "feature"))
        )

    @strawberry.field(description="The circuit.")
    def circuit(self, info: Info) -> "Circuit":
        return circuit_of(info, self.circuit_id)

    @strawberry.field(description="The feature.")
    def feature(self, info: Info) -> "Feature":
        return feature_of(info, self.feature_id)

    @strawberry.field(description="One entry for each position, by position.")
    async def occurrences(self, info: Info) -> list[Occurrence]:
        rows = await info.context.loaders.many(queries.OCCURRENCES, (self.circuit_id, self.feature_id))
        return [Occurrence.of(row) for row in rows]


@strawberry.type(
    description="An effect of one feature on another that recurs over circuits, free of position."
)
class RecurringEffect:
    n_circuits: int = strawberry.field(description="Circuits that have this effect.")
    mean: float = strawberry.field(description="Mean weight over the circuits that have the effect, signed.")
    sd: float = strawberry.field(description="Standard deviation of that weight.")
    sign_consistency: float = strawberry.field(
        description="Share of the circuits in which the weight has the commoner sign, 0.5 to 1."
    )
    feature_id: strawberry.Private[str]
    ends: strawberry.Private[tuple[str, str]]
    """Ids of the feature that acts and of the one acted on."""

    @strawberry.field(
        description="Circuits that have both features; in the others the effect could not be seen."
    )
    async def n_considered(self, info: Info) -> int:
        row = await info.context.loaders.one(queries.CIRCUITS_OF_BOTH, self.ends, families=None)
        return 0 if row is None else row.both

    @strawberry.field(description="The feature at the other end.")
    def feature(self, info: Info) -> "Feature":
        return feature_of(info, self.feature_id)


@strawberry.type(description="A feature of a transcoder set: one for all prompts.")
class Feature(FeatureFacts):
    @strawberry.field(description="The circuits that have it, highest influence first.")
    async def circuits(self, info: Info, first: First = None, after: After = None) -> Connection[FeatureUse]:
        where = window(info.context.limits, first, after)
        page = await info.context.loaders.page(queries.CIRCUITS_OF_FEATURE, self.id, **where._asdict())
        return connect(where, page.total, [FeatureUse.of(row) for row in page.rows])

    @strawberry.field(description="The features it drives directly, those of most circuits first.")
    async def drives(
        self, info: Info, first: First = None, after: After = None, min_circuits: MinCircuits = 1
    ) -> Connection[RecurringEffect]:
        return await self._recurring(info, "out", first, after, min_circuits)

    @strawberry.field(description="The features that drive it directly, those of most circuits first.")
    async def driven_by(
        self, info: Info, first: First = None, after: After = None, min_circuits: MinCircuits = 1
    ) -> Connection[RecurringEffect]:
        return await self._recurring(info, "in", first, after, min_circuits)

    async def _recurring(
        self, info: Info, direction: str, first: int | None, after: str | None, min_circuits: int
    ) -> Connection[RecurringEffect]:
        where = window(info.context.limits, first, after)
        page = await info.context.loaders.page(
            queries.RECURRING_EDGES,
            self.id,
            direction=direction,
            min_circuits=checked_count("minCircuits", min_circuits, 1),
            **where._asdict(),
        )
        edges = [
            RecurringEffect(
                feature_id=row.feature,
                ends=(self.id, row.feature) if direction == "out" else (row.feature, self.id),
                **columns(row, without=("feature",)),
            )
            for row in page.rows
        ]
        return connect(where, page.total, edges)


@strawberry.type(description="A node of a circuit.")
class CircuitNode(NodeFacts):
    feature_id: strawberry.Private[str | None]

    @classmethod
    def of(cls, row: queries.NodeRow) -> "CircuitNode":
        return cls(
            id=strawberry.ID(row.key),
            kind=NodeKind(row.kind),
            index=None if row.number is None else str(row.number),
            feature_id=row.feature,
            **columns(row, without=("kind", "number", "feature")),
        )

    @strawberry.field(description="The feature, when it is the node of one.")
    def feature(self, info: Info) -> Feature | None:
        return None if self.feature_id is None else feature_of(info, self.feature_id)


@strawberry.type(description="A signed direct effect of one node of a circuit on another.")
class DirectEffect(EffectHeads):
    weight: float = strawberry.field(
        description="Effect on the target's pre-activation or logit, the source's activation folded in."
    )
    share: float | None = strawberry.field(
        description="|weight| over the sum of |weight| of all inputs of the target before pruning, 0 to 1."
    )
    source_id: strawberry.Private[str]
    target_id: strawberry.Private[str]

    @strawberry.field(description="Where the effect comes from.")
    def source(self, info: Info) -> CircuitNode:
        return node_of(info, self.source_id)

    @strawberry.field(description="What it acts on.")
    def target(self, info: Info) -> CircuitNode:
        return node_of(info, self.target_id)


@strawberry.type(description="Features of one circuit that play one role.")
class Supernode(SupernodeFacts):
    circuit_id: strawberry.Private[str]
    member_ids: strawberry.Private[list[str]]

    @classmethod
    def of(cls, row: queries.SupernodeRow) -> "Supernode":
        return cls(
            id=strawberry.ID(row.key),
            circuit_id=row.circuit,
            member_ids=row.members,
            **columns(row, without=("circuit", "members")),
        )

    @strawberry.field(description="The circuit it belongs to.")
    def circuit(self, info: Info) -> "Circuit":
        return circuit_of(info, self.circuit_id)

    @strawberry.field(description="Its nodes, highest influence first.")
    async def members(self, info: Info) -> list[CircuitNode]:
        return await load_nodes(info, self.member_ids)


@strawberry.type(
    description="All direct effects of the members of one supernode on those of another of its grouping, "
    "added up. Where people's supernodes share members, an effect counts in each."
)
class SupernodeEffect:
    weight: float = strawberry.field(description="Sum of the signed direct effects.")
    n_effects: int = strawberry.field(description="How many effects were added up.")
    source_id: strawberry.Private[str]
    target_id: strawberry.Private[str]

    @strawberry.field(description="Where the effects come from.")
    def source(self, info: Info) -> Supernode:
        return supernode_of(info, self.source_id)

    @strawberry.field(description="What they act on.")
    def target(self, info: Info) -> Supernode:
        return supernode_of(info, self.target_id)


@strawberry.type(description="A pruned attribution graph of one prompt and one target.")
class Circuit(CircuitWhole):
    prompt_id: strawberry.Private[str]
    set_id: strawberry.Private[str]
    run_id: strawberry.Private[str | None]

    @classmethod
    def of(cls, row: queries.CircuitRow) -> "Circuit":
        return cls(
            id=strawberry.ID(row.key),
            prompt_id=row.prompt,
            set_id=row.transcoders,
            run_id=row.run,
            **columns(row, without=("prompt", "transcoders", "run")),
        )

    @strawberry.field(description="The prompt: text, tokens, family, tags, expected token.")
    def prompt(self, info: Info) -> Prompt:
        return info.context.loaders.fact(queries.PROMPTS_BY_ID, self.prompt_id, Prompt.of)

    @strawberry.field(description="The transcoder set it was made with, and through it the model.")
    def transcoders(self, info: Info) -> TranscoderSet:
        return info.context.loaders.fact(queries.TRANSCODERS_BY_ID, self.set_id, TranscoderSet.of)

    @strawberry.field(description="The call of `atlas ingest` that made it, when known.")
    def run(self, info: Info) -> Run | None:
        if self.run_id is None:
            return None
        return info.context.loaders.fact(queries.RUNS_BY_ID, self.run_id, Run.of)

    @strawberry.field(description="Its nodes, highest influence first; nodes without influence come last.")
    async def nodes(
        self,
        info: Info,
        kind: Kind = None,
        min_influence: Annotated[
            float | None,
            strawberry.argument(description="Only nodes with at least this influence: 0 or more."),
        ] = None,
        first: First = None,
        after: After = None,
    ) -> Connection[CircuitNode]:
        where = window(info.context.limits, first, after)
        page = await info.context.loaders.page(
            queries.NODES_OF_CIRCUIT,
            self.id,
            kind=node_label(kind),
            min_influence=min_influence,
            **where._asdict(),
        )
        return connect(where, page.total, await load_nodes(info, page.rows))

    @strawberry.field(description="Its direct effects, greatest |weight| first.")
    async def edges(
        self,
        info: Info,
        source_kind: Kind = None,
        target_kind: Kind = None,
        first: First = None,
        after: After = None,
    ) -> Connection[DirectEffect]:
        where = window(info.context.limits, first, after)
        page = await info.context.loaders.page(
            queries.EDGES_OF_CIRCUIT,
            self.id,
            source_kind=node_label(source_kind),
            target_kind=node_label(target_kind),
            **where._asdict(),
        )
        effects = [
            DirectEffect(
                source_id=row.source,
                target_id=row.target,
                weight=row.weight,
                share=row.share,
                heads=head_parts(row),
            )
            for row in page.rows
        ]
        return connect(where, page.total, effects)

    @strawberry.field(description="Its features, positions taken together, highest influence first.")
    async def features(self, info: Info, first: First = None, after: After = None) -> Connection[FeatureUse]:
        where = window(info.context.limits, first, after)
        page = await info.context.loaders.page(queries.FEATURES_OF_CIRCUIT, self.id, **where._asdict())
        return connect(where, page.total, [FeatureUse.of(row) for row in page.rows])

    @strawberry.field(
        description="In which ways its features are grouped: the scored ones first, then by share of "
        "influence."
    )
    async def groupings(self, info: Info) -> list[Grouping]:
        rows = await info.context.loaders.many(queries.GROUPINGS_OF_CIRCUIT, self.id)
        return [Grouping(**columns(row)) for row in rows]

    @strawberry.field(description="The supernodes of one grouping, by position and label.")
    async def supernodes(
        self,
        info: Info,
        method: OfMethod = None,
        author: OfAuthor = None,
        first: First = None,
        after: After = None,
    ) -> Connection[Supernode]:
        where = window(info.context.limits, first, after)
        key = await grouping_key(info, self.id, method, author)
        page = await info.context.loaders.page(queries.SUPERNODES_OF_CIRCUIT, key, **where._asdict())
        return connect(where, page.total, await load_supernodes(info, page.rows))

    @strawberry.field(
        description="How the supernodes of one grouping act on each other, greatest |weight| first."
    )
    async def supernode_edges(
        self, info: Info, method: OfMethod = None, author: OfAuthor = None
    ) -> list[SupernodeEffect]:
        key = await grouping_key(info, self.id, method, author)
        return [
            SupernodeEffect(
                source_id=row.source, target_id=row.target, **columns(row, without=("source", "target"))
            )
            for row in await info.context.loaders.many(queries.SUPERNODE_EDGES, key)
        ]
