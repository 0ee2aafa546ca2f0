"""The direction of effects: from earlier to later places of the model, never back.

A node acts on nodes of later layers, at its own position or a later one ("Circuit Tracing", Anthropic 2025).
In a graph with an effect that runs back, sums over paths have no meaning.
"""

from collections.abc import Iterable, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from schema.circuit.records import Node, NodeKind


def backward_edge(nodes: Sequence[Node], ends: Iterable[tuple[int, int]]) -> tuple[int, str] | None:
    """The first edge that runs back, by its place, and what is wrong with it; None when every edge is right.

    ends: places in `nodes` of the source and the target of each edge. Nodes of kind OTHER may stand anywhere,
    because tools place them freely. Edges between nodes of one layer and position, as attention features have
    them, are wrong only when they form a cycle.
    """
    level: dict[tuple[int, int], int] = {}
    """Edges that may form a cycle → their place."""
    for place, (source, target) in enumerate(ends):
        s, t = nodes[source], nodes[target]
        if source == target:
            return place, "goes from a node to itself"
        if NodeKind.OTHER in (s.kind, t.kind) or (s.layer, s.position) == (t.layer, t.position):
            level[source, target] = place
        elif t.layer < s.layer:
            return place, f"goes back from layer {s.layer} to layer {t.layer}"
        elif t.position < s.position:
            return place, f"goes back from position {s.position} to position {t.position}"
    if not level:
        return None
    inputs: dict[int, set[int]] = {}
    for source, target in level:
        inputs.setdefault(target, set()).add(source)
    try:
        TopologicalSorter(inputs).prepare()
    except CycleError as error:
        cycle: list[int] = error.args[1]
        return min(level[pair] for pair in pairwise(cycle)), "closes a cycle"
    return None
