"""The direction of effects: from earlier to later layers of the model, never back.

A node acts on nodes of later layers ("Circuit Tracing", Anthropic 2025). Sums over paths have no meaning in a
graph whose effects run back or in a circle.
"""

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from schema.circuit.records import Node, NodeKind


def backward_edge(nodes: Sequence[Node], ends: Sequence[tuple[int, int]]) -> tuple[int, str] | None:
    """The place of an edge that runs back, and what is wrong with the edge; None when every edge is right.

    ends: for each edge, the places of its source and its target in `nodes`. Attention features act on
    features of their own layer, and tools place nodes of kind OTHER freely. Such edges are wrong only in
    a cycle.
    """
    may_cycle = False
    for place, (source, target) in enumerate(ends):
        s, t = nodes[source], nodes[target]
        if source == target:
            return place, "goes from a node to itself"
        if s.layer == t.layer or NodeKind.OTHER in (s.kind, t.kind):
            may_cycle = True
        elif t.layer < s.layer:
            return place, f"goes back from layer {s.layer} to layer {t.layer}"
    if not may_cycle:
        return None
    inputs: dict[int, set[int]] = {}
    for source, target in ends:
        inputs.setdefault(target, set()).add(source)
    try:
        TopologicalSorter(inputs).prepare()
    except CycleError as error:
        cycle: list[int] = error.args[1]
        return max(ends.index(pair) for pair in pairwise(cycle)), "closes a cycle"
    return None
