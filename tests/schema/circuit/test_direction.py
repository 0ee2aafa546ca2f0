"""Edges that run back are found, and the first of them is named."""

from itertools import permutations

import pytest

from schema.circuit.direction import backward_edge
from schema.circuit.records import Node, NodeKind


def node(kind: NodeKind, layer: int, position: int, component: str | None = None) -> Node:
    return Node(kind, layer, position, 1, None, None, None, None, None, component)


EARLY, LATE = node(NodeKind.FEATURE, 0, 1), node(NodeKind.FEATURE, 1, 1)
BEFORE = node(NodeKind.FEATURE, 0, 0)
NODES = [EARLY, LATE, BEFORE, node(NodeKind.FEATURE, 1, 1, "lorsa"), node(NodeKind.OTHER, 3, 2)]


@pytest.mark.parametrize(
    ("ends", "found"),
    [
        ([(0, 1), (2, 1), (0, 3), (3, 1)], None),
        ([(0, 1), (4, 0), (2, 4)], None),
        ([(0, 2), (1, 3)], None),
        ([(0, 1), (1, 1)], (1, "goes from a node to itself")),
        ([(2, 1), (1, 0)], (1, "goes back from layer 1 to layer 0")),
        ([(1, 2)], (0, "goes back from layer 1 to layer 0")),
        ([(0, 1), (1, 3), (2, 1), (3, 1)], (3, "closes a cycle")),
        ([(4, 0), (0, 1), (0, 4)], (2, "closes a cycle")),
        # A cycle may run through edges that are right by themselves.
        ([(4, 0), (0, 1), (2, 1), (1, 4)], (3, "closes a cycle")),
    ],
)
def test_the_first_edge_that_runs_back_is_named(
    ends: list[tuple[int, int]], found: tuple[int, str] | None
) -> None:
    assert backward_edge(NODES, ends) == found


def test_a_cycle_is_found_in_every_order_of_its_edges() -> None:
    for ends in permutations([(1, 3), (3, 1), (0, 1)]):
        assert backward_edge(NODES, ends) == (max(ends.index((1, 3)), ends.index((3, 1))), "closes a cycle")
