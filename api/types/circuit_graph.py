"""`circuit.graph`: all nodes and direct effects of one circuit in one answer."""

from typing import Self

import strawberry

from api.request.loaders import Info
from api.types.plain import NodeFacts, columns
from api.types.tokens import CircuitTokens
from schema.circuit.records import NodeKind
from schema.questions.graph import GRAPH_OF_CIRCUIT, GraphRow


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


@strawberry.type
class CircuitWhole(CircuitTokens):
    @strawberry.field(
        description="The whole pruned graph in one answer; `nodes` and `edges` page through it. Its nodes "
        "and effects count as rows of the request."
    )
    async def graph(self, info: Info) -> CircuitGraph:
        info.context.loaders.spend(self.n_nodes + self.n_edges)
        (row,) = await info.context.loaders.many(GRAPH_OF_CIRCUIT, self.id)
        return CircuitGraph.of(row)
