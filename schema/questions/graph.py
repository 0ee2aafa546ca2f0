"""The whole graph of a circuit in one answer."""

from typing import NamedTuple

from schema.questions.core import NodeRow
from schema.questions.question import Question, Record


class GraphRow(NamedTuple):
    """One circuit's pruned graph."""

    key: str
    nodes: list[NodeRow]
    """By layer, position and id."""
    sources: list[int]
    """Places in `nodes`, aligned with `targets` and `weights`; by target and source."""
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
