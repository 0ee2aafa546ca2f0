"""First supernodes: features of one circuit with equal short names at one position.

`atlas supernodes` groups features over the whole atlas instead (`ingest.annotations.supernodes`). The method
that each supernode records tells the two apart.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from schema.circuit.records import Node, NodeKind, Supernode

METHOD = "label-and-position-v1"
"""`Supernode.method` of first supernodes."""
AUTHOR = "atlas"
"""`Supernode.author` of supernodes that the atlas makes itself."""
MIN_MEMBERS = 2
"""Least members of a supernode."""


def group_by_concept(nodes: Sequence[Node], concepts: Mapping[tuple[int, int], str]) -> tuple[Supernode, ...]:
    """The supernodes of one circuit, ordered by position and label. Members are positions in `nodes`.

    concepts: the short names of features, by layer and index.
    """
    groups: dict[tuple[int, str], list[int]] = defaultdict(list)
    for place, node in enumerate(nodes):
        if node.kind is NodeKind.FEATURE and node.index is not None:
            name = concepts.get((node.layer, node.index))
            if name is not None:
                groups[node.position, name].append(place)
    return tuple(
        Supernode(label=name, position=position, members=tuple(members), method=METHOD, author=AUTHOR)
        for (position, name), members in sorted(groups.items())
        if len(members) >= MIN_MEMBERS
    )
