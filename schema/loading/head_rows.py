"""Parameters of the queries that load what attention heads carry; pure."""

from collections import defaultdict
from typing import Any

from schema.circuit.attention import HeadPart
from schema.circuit.records import Circuit


def head_rows(circuit: Circuit) -> dict[str, Any]:
    """What heads carry: of each edge, such as ["3/1", "0/2"] and how much of its weight; and in all."""
    of_edge: dict[tuple[str, str], list[HeadPart]] = defaultdict(list)
    for part in circuit.head_parts:
        of_edge[part.source, part.target].append(part)
    keys = [node.key for node in circuit.nodes]
    parts = [of_edge[keys[e.source], keys[e.target]] for e in circuit.edges] if circuit.head_parts else []
    return {
        "heads": [[f"{p.layer}/{p.head}" for p in each] or None for each in parts],
        "head_weights": [[float(p.weight) for p in each] or None for each in parts],
        "head_totals": [
            {"id": f"{circuit.model.id}/{each.layer}/{each.head}", **each._asdict()}
            for each in circuit.head_totals
        ],
    }
