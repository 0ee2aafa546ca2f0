"""Questions about the graph of one circuit: its nodes, direct effects and features, and the whole graph."""

from typing import NamedTuple

from schema.questions.features import FEATURES_BY_ID, UseRow
from schema.questions.question import KeyReference, Question, Record, ids_of, lookup, page_of


class NodeRow(NamedTuple):
    """The properties of a node of a circuit."""

    key: str
    """Id of the node."""
    kind: str
    layer: int
    position: int
    position_from_end: int
    number: int | None
    """Index of the feature in its layer; None for other nodes."""
    activation: float | None
    influence: float | None
    influence_is_bound: bool
    cumulative: float | None
    """Share of the influence of this node and of all nodes with more influence, 0 to 1."""
    token: str | None
    probability: float | None
    """Probability of the token; logit nodes only."""
    feature: str | None
    """Id of the feature; None for other nodes."""
    pinned: bool
    """Whether somebody pinned the node in a viewer."""


class EffectRow(NamedTuple):
    """A direct effect of one node of a circuit on another."""

    source: str
    target: str
    weight: float
    share: float | None
    heads: list[str]
    head_weights: list[float]


class GraphRow(NamedTuple):
    """One circuit's pruned graph."""

    key: str
    nodes: list[NodeRow]
    """By layer, position and id."""
    sources: list[int]
    """Indices into `nodes`. The three lists are aligned and sorted by target, then source."""
    targets: list[int]
    weights: list[float]


def _graph(record: Record) -> GraphRow:
    nodes = [NodeRow(*values) for values in record["nodes"]]
    place = {node.key: number for number, node in enumerate(nodes)}
    edges = sorted(
        (place[target], place[source], weight)
        for source, target, weight in zip(
            record["sources"], record["targets"], record["weights"], strict=True
        )
    )
    return GraphRow(
        record["key"],
        nodes,
        sources=[source for _, source, _ in edges],
        targets=[target for target, _, _ in edges],
        weights=[weight for _, _, weight in edges],
    )


GRAPH_OF_CIRCUIT = Question("graph_of_circuit", _graph)
NODES_BY_ID = lookup("nodes_by_id", NodeRow, KeyReference(FEATURES_BY_ID, ("feature",)))
NODES_OF_CIRCUIT = Question("nodes_of_circuit", ids_of, refers=KeyReference(NODES_BY_ID))
EDGES_OF_CIRCUIT = Question(
    "edges_of_circuit", page_of(EffectRow), refers=KeyReference(NODES_BY_ID, ("source", "target"))
)
FEATURES_OF_CIRCUIT = Question(
    "features_of_circuit", page_of(UseRow), refers=KeyReference(FEATURES_BY_ID, ("feature",))
)
