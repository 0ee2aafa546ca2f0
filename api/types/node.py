"""Nodes of circuits and the direct effects between them."""

from typing import Self

import strawberry

from api.request.batching import Info
from api.types.entity import looked_up_by
from api.types.feature import Feature, feature_of
from api.types.heads import HeadPart, head_parts
from api.types.rows import columns
from schema.circuit.records import NodeKind
from schema.questions.graph import NODES_BY_ID, EffectRow, GraphRow, NodeRow

strawberry.enum(NodeKind, description="The kinds of node of an attribution graph.")


def node_of(info: Info, id: str) -> "CircuitNode":
    return info.context.loaders.fact(NODES_BY_ID, id, CircuitNode.of)


async def load_nodes(info: Info, ids: list[str]) -> list["CircuitNode"]:
    """The nodes that exist, in the order of the ids."""
    return [CircuitNode.of(row) for row in await info.context.loaders.all_of(NODES_BY_ID, ids)]


@strawberry.type(description="What is known of a node by itself.")
class NodeFacts:
    id: strawberry.ID = strawberry.field(description="Unique in the database.")
    kind: NodeKind = strawberry.field(description="What it stands for.")
    layer: int = strawberry.field(
        description="Tokens: -1. Features and errors: 0 to nLayers - 1. Logits: nLayers."
    )
    position: int = strawberry.field(description="Position in the prompt, from 0.")
    position_from_end: int = strawberry.field(
        description="Positions to the end of the prompt; 0 is the last token."
    )
    index: str | None = strawberry.field(
        description="Number of the feature, or of the token in the vocabulary (as text); null for errors."
    )
    activation: float | None = strawberry.field(description="Features: the activation. Others: null.")
    influence: float | None = strawberry.field(
        description="Raw influence on the target logits before pruning, 0 or more; of logits the probability."
    )
    cumulative: float | None = strawberry.field(
        description="Share of all influence that nodes at least as influential hold, 0 to 1."
    )
    token: str | None = strawberry.field(description="Tokens and logits: the text.")
    probability: float | None = strawberry.field(description="Logits: the model's probability, 0 to 1.")


@looked_up_by(NODES_BY_ID)
@strawberry.type(description="A node of a circuit.")
class CircuitNode(NodeFacts):
    feature_id: strawberry.Private[str | None]

    @classmethod
    def of(cls, row: NodeRow) -> "CircuitNode":
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
class DirectEffect:
    heads: list[HeadPart] = strawberry.field(
        description="The attention heads that carry most of it, the strongest first; none when the circuit "
        "was loaded without heads, or nothing of it crosses a position."
    )
    weight: float = strawberry.field(
        description="Effect on the target's pre-activation or logit, the source's activation folded in."
    )
    share: float | None = strawberry.field(
        description="|weight| over the sum of |weight| of all inputs of the target before pruning, 0 to 1."
    )
    source_id: strawberry.Private[str]
    target_id: strawberry.Private[str]

    @classmethod
    def of(cls, row: EffectRow) -> Self:
        return cls(
            source_id=row.source,
            target_id=row.target,
            weight=row.weight,
            share=row.share,
            heads=head_parts(row),
        )

    @strawberry.field(description="Where the effect comes from.")
    def source(self, info: Info) -> CircuitNode:
        return node_of(info, self.source_id)

    @strawberry.field(description="What it acts on.")
    def target(self, info: Info) -> CircuitNode:
        return node_of(info, self.target_id)


@strawberry.type(description="A node of a whole graph.")
class GraphNode(NodeFacts):
    feature: strawberry.ID | None = strawberry.field(
        description="Features: id of the feature that is active here."
    )


@strawberry.type(
    description="All nodes and direct effects of a circuit. Effects are three lists of one length, so that "
    "thousands travel well: effect i goes from nodes[sources[i]] to nodes[targets[i]] and weighs weights[i]."
)
class CircuitGraph:
    nodes: list[GraphNode] = strawberry.field(description="By layer, position and id.")
    sources: list[int] = strawberry.field(description="Of each effect: place in `nodes`, from 0.")
    targets: list[int] = strawberry.field(description="Of each effect: place in `nodes`, from 0.")
    weights: list[float] = strawberry.field(
        description="Of each effect: signed, in units of the target: logit or activation."
    )

    @classmethod
    def of(cls, row: GraphRow) -> Self:
        nodes = [
            GraphNode(
                id=strawberry.ID(node.key),
                kind=NodeKind(node.kind),
                index=None if node.number is None else str(node.number),
                **columns(node, without=("kind", "number")),
            )
            for node in row.nodes
        ]
        return cls(nodes=nodes, sources=row.sources, targets=row.targets, weights=row.weights)
