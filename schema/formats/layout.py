"""The layout of a file that is read: what exports need to write the same file again."""

from collections.abc import Sequence
from typing import Any

import orjson

from schema.circuit.records import Circuit, Edge, Supernode
from schema.exports.graph_json import QK_ONLY, QK_RESULTS, node_id, nodes_of
from schema.exports.layout import LIMIT, links_layout, nodes_layout, pack, renamed

_READ = ("metadata", "qParams", "nodes", "links", QK_ONLY)
"""The keys at the top of a file that the atlas knows."""
TOO_LARGE = f"the layout of the file is not kept for exports: it takes more than {LIMIT // 1_000_000} MB"


def layout_of(
    whole: dict[str, Any],
    circuit: Circuit,
    order: Sequence[int],
    edges: Sequence[Edge],
    entries: Sequence[Supernode | None],
) -> str | None:
    """The packed layout of a file; None when it is too large.

    whole: the file. circuit: the circuit that was read from it. order: place in the circuit of each node of
    the file. edges: the edge of each link. entries: the supernode of each entry of `qParams.supernodes`; None
    for an entry without a node of the graph. Edges and supernodes name nodes by place in the file.
    """
    theirs = whole["nodes"]
    more = {key: value for key, value in whole.items() if key not in _READ}
    if whole.get("qParams", ...) is None:
        more["qParams"] = None
    ids = [node_id(node) for node in circuit.nodes]
    traced: dict[str, Any] = {}
    if circuit.qk_tracing is not None:
        names = {ids[place]: node["node_id"] for place, node in zip(order, theirs, strict=True)}
        traced = renamed(orjson.loads(circuit.qk_tracing), names)
    elif any(node.get(QK_RESULTS) for node in theirs):  # left out, because they are too large
        theirs = [{key: value for key, value in node.items() if key != QK_RESULTS} for node in theirs]
    if whole.get(QK_ONLY, ...) in (None, {}):
        more[QK_ONLY] = whole[QK_ONLY]
    return pack(
        {
            "nodes": nodes_layout(theirs, nodes_of(circuit, ids, traced.get(QK_RESULTS, {})), order),
            "links": links_layout(whole["links"], edges, order),
            "groups": [
                None if entry is None else sorted(order[place] for place in entry.members)
                for entry in entries
            ],
            "more": more,
        }
    )
