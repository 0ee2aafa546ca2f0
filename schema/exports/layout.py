"""The layout of a graph file: how it writes the nodes and links that the atlas writes in another way.

A circuit holds what a file means. Its layout holds the rest, so that an export equals the file: the order of
nodes and links, the forms of ids and numbers, and keys that the atlas does not know. It is the difference to
the nodes that `schema.exports.graph_json` would write, column by column:

nodes   keys      the keys that nodes of the file have
        order     place in the circuit of each node of the file; left out when it counts 0, 1, 2 …
        columns   key → for each node of the file: 0 (as ours), [] (no such key), [value]
links   by        `source` when the links are sorted by source and target; otherwise they are sorted by target
                  and source, or `order` gives the place in the circuit of each link
        columns   as above, for keys other than source, target and weight
groups  for each entry of `qParams.supernodes` the places of the members; null when the atlas holds no such
        supernode
more    the keys at the top of the file that the atlas does not know
"""

import base64
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from operator import gt
from typing import Any, Protocol

from schema.circuit.records import Edge

LIMIT = 4_000_000
"""Largest size of a packed layout in bytes."""
CELLS = 10_000_000
"""Largest number of entries of the columns of a layout: its items times their different keys."""
ITEMS_LIMIT = 50_000_000
"""Largest size in bytes of nodes, or of links with further keys, whose layout is kept."""
DEPTH = 20
"""Largest depth of lists and objects in which names are replaced."""

Item = dict[str, Any]
"""A node or a link of a file."""
Layout = dict[str, Any]


class LayoutTooLarge(Exception):
    """The layout of a file is larger than what is kept."""


def pack(layout: Layout) -> str | None:
    """The layout as a text for the database; None when it is too large."""
    packed = base64.b64encode(zlib.compress(json.dumps(layout).encode()))
    return packed.decode() if len(packed) <= LIMIT else None


def unpack(text: str) -> Layout:
    """The inverse of `pack`."""
    found: Layout = json.loads(zlib.decompress(base64.b64decode(text)))
    return found


class Items(Protocol):
    """Nodes or links of a file, which may be made anew each time that they are gone through."""

    size: int
    """Their size in the file, in bytes."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Item]: ...


def nodes_layout(theirs: Items, ours: Sequence[Item], order: Sequence[int]) -> Layout:
    """The layout of nodes. order: place in `ours` of each of their nodes. Raises LayoutTooLarge."""
    keys = _keys(theirs)
    found: Layout = {"keys": keys}
    if any(place != number for number, place in enumerate(order)):
        found["order"] = list(order)
    columns = _columns(keys, theirs, [ours[place] for place in order])
    return found | ({"columns": columns} if columns else {})


def laid_out_nodes(ours: Sequence[Item], layout: Layout) -> list[Item]:
    """The nodes of the file, from our nodes."""
    keys = set(layout["keys"])
    nodes = [
        {key: value for key, value in ours[place].items() if key in keys}
        for place in layout.get("order", range(len(ours)))
    ]
    return _with_columns(nodes, layout.get("columns", {}))


def laid_out_ids(ours: Sequence[str], layout: Layout) -> list[str]:
    """The id in the file of each node of the circuit, from our ids."""
    ids = list(ours)
    entries = layout.get("columns", {}).get("node_id", ())
    for place, entry in zip(layout.get("order", range(len(ids))), entries, strict=False):
        if entry:
            ids[place] = entry[0]
    return ids


def links_layout(theirs: Items, edges: Sequence[Edge], order: Sequence[int]) -> Layout:
    """The layout of links. edges: the edge of each link, by places of nodes in the file. order: as above.

    Raises LayoutTooLarge.
    """
    found: Layout = {}
    count = len(order)
    if not _ascending([edge.target * count + edge.source for edge in edges]):
        if _ascending([edge.source * count + edge.target for edge in edges]):
            found["by"] = "source"
        else:
            keys = [order[edge.target] * count + order[edge.source] for edge in edges]
            found["order"] = _inverse(sorted(range(len(keys)), key=keys.__getitem__))
    if any(len(link) != 3 for link in theirs):
        names = [key for key in _keys(theirs) if key not in ("source", "target", "weight")]
        found["columns"] = _columns(names, theirs, [{}] * len(theirs))
    return found


def _keys(items: Items) -> list[str]:
    """All keys of the items, sorted. Raises LayoutTooLarge when the items would take too much memory."""
    if items.size > ITEMS_LIMIT:
        raise LayoutTooLarge
    keys: set[str] = set()
    for item in items:
        keys.update(item)
        if len(keys) * len(items) > CELLS:
            raise LayoutTooLarge
    return sorted(keys)


def laid_out_links(
    links: Sequence[Item], edges: Sequence[Edge], layout: Layout, order: Sequence[int]
) -> list[Item]:
    """The links of the file. links, edges: those of the circuit. order: as in `nodes_layout`."""
    places: Sequence[int]
    if "order" in layout:
        places = layout["order"]
    else:
        file_place, count = _inverse(order), len(order)
        ends = [(file_place[edge.source], file_place[edge.target]) for edge in edges]
        if layout.get("by") == "source":
            ends = [(target, source) for source, target in ends]
        keys = [low + high * count for low, high in ends]
        places = sorted(range(len(keys)), key=keys.__getitem__)
    return _with_columns([links[place] for place in places], layout.get("columns", {}))


def _ascending(numbers: Sequence[int]) -> bool:
    return not any(map(gt, numbers, numbers[1:]))


def renamed(value: Any, names: Mapping[str, str], depth: int = DEPTH) -> Any:
    """A JSON value with texts that are names replaced. Raises ValueError when it is nested too deeply."""
    if depth < 0:
        raise ValueError(f"has more than {DEPTH} lists and objects inside each other")
    match value:
        case str():
            return names.get(value, value)
        case list():
            return [renamed(each, names, depth - 1) for each in value]
        case dict():
            return {name: renamed(each, names, depth - 1) for name, each in value.items()}
    return value


def _inverse(order: Sequence[int]) -> list[int]:
    places = [0] * len(order)
    for number, place in enumerate(order):
        places[place] = number
    return places


def _columns(keys: Sequence[str], theirs: Items, ours: Sequence[Item]) -> Layout:
    columns: Layout = {key: [] for key in keys}
    different: set[str] = set()
    for their, our in zip(theirs, ours, strict=True):
        for key, column in columns.items():
            entry = _entry(key, their, our)
            if entry != 0:
                different.add(key)
            column.append(entry)
    return {key: column for key, column in columns.items() if key in different}


def _entry(key: str, theirs: Item, ours: Item) -> Any:
    if key not in theirs:
        return [] if key in ours else 0
    value = theirs[key]
    # True equals 1 in Python, but they are different JSON.
    same = key in ours and value == ours[key] and isinstance(value, bool) == isinstance(ours[key], bool)
    return 0 if same else [value]


def _with_columns(items: list[Item], columns: Mapping[str, list[Any]]) -> list[Item]:
    for key, column in columns.items():
        for item, entry in zip(items, column, strict=True):
            if entry == []:
                item.pop(key, None)
            elif entry != 0:
                item[key] = entry[0]
    return items
