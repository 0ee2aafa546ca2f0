"""What other tools traced of attention scores: kept as JSON, as it came, and given back on export.

`qk_tracing_results` of nodes list the pairs of nodes behind a score, by node id; `qk_only_nodes` are nodes of
such pairs that the graph lacks. The atlas asks nothing of them: one text of a bounded size, in which the
graph's own nodes go by the ids that we export.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from schema.circuit.records import Node
from schema.errors import FileError
from schema.exports.graph_json import QK_ONLY, QK_RESULTS, node_id
from schema.formats.raw import RawGraph

LIMIT = 4_000_000
"""Bytes of the text."""
DEPTH = 20
"""Lists and objects inside each other."""
_NOTHING = b"null"


def qk_tracing(
    raw: RawGraph, nodes: Sequence[Node], places: Mapping[str, int], file: str
) -> tuple[str | None, tuple[str, ...]]:
    """The text, None when the file traces nothing, and what there is to note. Raises FileError.

    places: node id of the file → place in `nodes`, which stand in the file's order.
    """
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
        size = f"{len(text) / 1e6:.1f} MB, more than {LIMIT / 1e6:g}"
        return None, (f"{QK_RESULTS} and {QK_ONLY} are left out: they take {size}",)
    return text.decode(), ()


def _parsed(value: Any, names: Mapping[str, str], file: str, key: str) -> Any:
    try:
        return _renamed(orjson.loads(bytes(value)), names, DEPTH)
    except ValueError as error:
        raise FileError(
            file, key, str(error), next_step="remove the key to import the graph without it"
        ) from error


def _renamed(value: Any, names: Mapping[str, str], depth: int) -> Any:
    """The value with the graph's nodes under our ids."""
    if depth < 0:
        raise ValueError(f"has more than {DEPTH} lists and objects inside each other")
    match value:
        case str():
            return names.get(value, value)
        case list():
            return [_renamed(each, names, depth - 1) for each in value]
        case dict():
            return {name: _renamed(each, names, depth - 1) for name, each in value.items()}
    return value
