"""First supernodes: features of one circuit with the same short name at the same position.

A later method groups features by what they read and write over the whole atlas; until then these are marked
with this method so that they can be told apart.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence

from schema.circuit.records import Node, NodeKind, Supernode

METHOD = "label-and-position-v1"
AUTHOR = "atlas"
MIN_MEMBERS = 2
"""One feature is not a group."""


def group_by_concept(
    nodes: Sequence[Node], concept: Callable[[int, int], str | None]
) -> tuple[Supernode, ...]:
    """Supernodes of one circuit, ordered by position and label.

    `concept(layer, index)` is a feature's short name, None when it has none. Members are places in `nodes`.
    """
    groups: dict[tuple[int, str], list[int]] = defaultdict(list)
    for place, node in enumerate(nodes):
        if node.kind is NodeKind.FEATURE and node.index is not None:
            name = concept(node.layer, node.index)
            if name is not None:
                groups[node.position, name].append(place)
    return tuple(
        Supernode(label=name, position=position, members=tuple(members), method=METHOD, author=AUTHOR)
        for (position, name), members in sorted(groups.items())
        if len(members) >= MIN_MEMBERS
    )
