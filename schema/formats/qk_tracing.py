"""Attention scores that other tools traced. They are kept as JSON and exported again.

`qk_tracing_results` of a node lists the pairs of nodes that contribute to a score, by node id.
`qk_only_nodes` are nodes of such pairs that the graph lacks. The atlas has no question about them: it keeps
one text of limited size, in which the nodes of the graph have the ids that we export.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from schema.circuit.records import Node
from schema.errors import FileError
from schema.exports.graph_json import QK_ONLY, QK_RESULTS, node_id
from schema.exports.layout import renamed
from schema.formats.raw import RawGraph

LIMIT = 4_000_000
"""Largest size of the text in bytes."""
RAW_LIMIT = 16_000_000
"""Largest size in the file, in bytes. Files with much white space have several times the size of the text."""
_NOTHING = b"null"


def qk_tracing(
    raw: RawGraph, nodes: Sequence[Node], places: Mapping[str, int], file: str
) -> tuple[str | None, tuple[str, ...]]:
    """The text, or None when the file has no traces; and remarks. Raises FileError.

    nodes: the nodes in the order of the file. places: node id in the file → place in `nodes`.
    """
    parts = [raw.qk_only_nodes, *(node.qk_tracing_results for node in raw.nodes)]
    size = sum(len(memoryview(part)) for part in parts if bytes(part) != _NOTHING)
    if size > RAW_LIMIT:
        return None, _left_out(size, RAW_LIMIT)
    names = {name: node_id(nodes[place]) for name, place in places.items()}
    found: dict[str, Any] = {}
    results: dict[str, Any] = {}
    for place, node in enumerate(raw.nodes):
        if bytes(node.qk_tracing_results) != _NOTHING:
            key = f"nodes[{place}].{QK_RESULTS}"
            results[node_id(nodes[place])] = _parsed(node.qk_tracing_results, names, file, key)
    if results:
        found[QK_RESULTS] = results
    if bytes(raw.qk_only_nodes) not in (_NOTHING, b"{}"):
        found[QK_ONLY] = _parsed(raw.qk_only_nodes, {}, file, QK_ONLY)
    if not found:
        return None, ()
    text = orjson.dumps(found, option=orjson.OPT_SORT_KEYS)
    if len(text) > LIMIT:
        return None, _left_out(len(text), LIMIT)
    return text.decode(), ()


def _left_out(size: int, limit: int) -> tuple[str]:
    much = f"{size / 1e6:.1f} MB, more than {limit / 1e6:g}"
    return (f"{QK_RESULTS} and {QK_ONLY} are left out: they take {much}",)


def _parsed(value: Any, names: Mapping[str, str], file: str, key: str) -> Any:
    try:
        return renamed(orjson.loads(bytes(value)), names)
    except ValueError as error:
        raise FileError(
            file, key, str(error), next_step="remove the key to import the graph without it"
        ) from error
