"""Nodes of circuits and the direct effects between them."""

from typing import Self

import strawberry

from api.request.batching import Info, reads
from api.types.entity import looked_up_by
from api.types.enumeration import described
from api.types.feature import Feature, feature_of
from api.types.heads import HeadPart, head_parts
from api.types.rows import columns
from schema.circuit.records import NodeKind
from schema.circuit.token_display import displayed
from schema.questions.graph import NODES_BY_ID, EffectRow, GraphRow, NodeRow
from schema.questions.labels import LABELS_OF_FEATURE

described(
    NodeKind,
    "Kind of a node of an attribution graph.",
    FEATURE="A feature of a transcoder that is active at one position.",
    ERROR="What the transcoders of a layer miss at one position.",
    TOKEN="The embedding of a token of the prompt.",
    LOGIT="A candidate for the next token.",
    OTHER="Another source, such as a bias.",
)


def node_of(info: Info, id: str) -> "CircuitNode":
    return info.context.loaders.fact(NODES_BY_ID, id, CircuitNode.of)


async def load_nodes(info: Info, ids: list[str]) -> list["CircuitNode"]:
    """The nodes that exist, in the order of the ids."""
    return [CircuitNode.of(row) for row in await info.context.loaders.all_of(NODES_BY_ID, ids)]


@strawberry.type(description="Properties of a node.")
class NodeFacts:
    id: strawberry.ID = strawberry.field(description="Id of the node, unique in the database.")
    kind: NodeKind = strawberry.field(description="Kind of the node.")
    layer: int = strawberry.field(
        description="Layer of the node: -1 for token nodes, 0 to nLayers - 1 for features and error "
        "nodes, nLayers for logit nodes."
    )
    position: int = strawberry.field(description="Position in the prompt, from 0.")
    position_from_end: int = strawberry.field(
        description="Distance from the end of the prompt: 0 is the last token."
    )
    index: str | None = strawberry.field(
        description="Number of the feature in its layer, or of the token in the vocabulary, as "
        "text. Null for error nodes."
    )
    activation: float | None = strawberry.field(
        description="Activation of the feature. Null for other kinds of node."
    )
    influence: float | None = strawberry.field(
        description="Influence on the target logits in the unpruned graph, 0 or more. For logit nodes it "
        "is the probability. In a circuit whose influence is derived (`Circuit.derived`) it is the node's "
        "share of all influence, 0 to 1. Null when unknown."
    )
    influence_is_bound: bool = strawberry.field(
        description="Whether the influence is derived and only an upper bound, because pruned nodes stood "
        "before the node in the order of influence. Not every such gap can be seen in a file: where the "
        "dropped share and the node's own share together are at most the share before, the influence is an "
        "upper bound although this is false."
    )
    cumulative: float | None = strawberry.field(
        description="Share of all influence that this node and all nodes of higher influence hold, "
        "0 to 1. Null when unknown."
    )
    token: str | None = strawberry.field(
        description="Exact text of the token, with its leading space. Null for features and error nodes."
    )
    probability: float | None = strawberry.field(
        description="Probability that the model gives the token of a logit node, 0 to 1. "
        "Null for other kinds of node."
    )
    pinned: bool = strawberry.field(description="Whether somebody pinned the node in a viewer.")


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

    @strawberry.field(
        description="The token as people see it: spaces at its ends, tabs and line ends are `␣`, `⇥` "
        "and `↵`. "
        "Null for features and error nodes.",
        metadata=reads("token"),
    )
    def display_token(self) -> str | None:
        return None if self.token is None else displayed(self.token)

    @strawberry.field(description="The feature that the node stands for. Null for other kinds of node.")
    def feature(self, info: Info) -> Feature | None:
        return None if self.feature_id is None else feature_of(info, self.feature_id)


@strawberry.type(description="A signed direct effect of one node of a circuit on another.")
class DirectEffect:
    heads: list[HeadPart] = strawberry.field(
        description="The attention heads that carry the most of the effect, the strongest first. Empty "
        "when the circuit was loaded without heads, or when the effect stays at one position."
    )
    weight: float = strawberry.field(
        description="Effect on the pre-activation of a target feature or on a logit, signed. It includes "
        "the activation of the source."
    )
    share: float | None = strawberry.field(
        description="|weight| over the summed |weight| of all inputs of the target before pruning, "
        "0 to 1. In a circuit whose shares are derived, the sum is over the kept inputs, so the share is an "
        "upper bound. Null when unknown."
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

    @strawberry.field(description="The node that acts.")
    def source(self, info: Info) -> CircuitNode:
        return node_of(info, self.source_id)

    @strawberry.field(description="The node that is acted on.")
    def target(self, info: Info) -> CircuitNode:
        return node_of(info, self.target_id)


@strawberry.type(description="A node of a circuit's graph.")
class GraphNode(NodeFacts):
    feature: strawberry.ID | None = strawberry.field(
        description="Id of the feature that the node stands for. Null for other kinds of node."
    )

    @strawberry.field(
        description="Text of the first of `Feature.labels`. Null when the feature has no label, and for "
        "other kinds of node."
    )
    async def label(self, info: Info) -> str | None:
        if self.feature is None:
            return None
        rows = await info.context.loaders.many(LABELS_OF_FEATURE, self.feature)
        return rows[0].text if rows else None


@strawberry.type(
    description="All nodes and direct effects of a circuit. The effects are three lists of equal length, "
    "which keeps thousands of effects small: effect i goes from nodes[sources[i]] to nodes[targets[i]] "
    "and has the weight weights[i]."
)
class CircuitGraph:
    nodes: list[GraphNode] = strawberry.field(description="The nodes, ordered by layer, position and id.")
    sources: list[int] = strawberry.field(
        description="For each effect: the index of a node in `nodes`, from 0."
    )
    targets: list[int] = strawberry.field(
        description="For each effect: the index of a node in `nodes`, from 0."
    )
    weights: list[float] = strawberry.field(
        description="For each effect: its signed weight, in units of the target's logit or pre-activation."
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
