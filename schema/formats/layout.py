"""The layout of a file that is read: what exports need to write the same file again."""

import codecs
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import orjson

from schema.circuit.records import Circuit, Edge, Supernode
from schema.exports.graph_json import QK_ONLY, QK_RESULTS, node_id, nodes_of
from schema.exports.layout import (
    ITEMS_LIMIT,
    LIMIT,
    Item,
    LayoutTooLarge,
    links_layout,
    nodes_layout,
    pack,
    renamed,
)
from schema.formats.raw import FREE_LIMIT, FileParts, parse

TOO_LARGE = f"the layout of the file is not kept for exports: it takes more than {LIMIT // 1_000_000} MB"


_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_ITEM: "msgspec.json.Decoder[Item]" = msgspec.json.Decoder(dict[str, Any])
_UNREAD: "msgspec.json.Decoder[dict[str, msgspec.Raw]]" = msgspec.json.Decoder(dict[str, msgspec.Raw])
_VALUE = msgspec.json.Decoder()


class FileItems:
    """Nodes or links of a file with all their keys. Each is parsed when it is its turn, to save memory."""

    def __init__(self, part: msgspec.Raw, name: str, file: str, change: Callable[[Item], Item] | None = None):
        """change: what becomes of each item before it is used. Raises FileError."""
        self.size = len(memoryview(part))
        self._raw: list[msgspec.Raw] = parse(_ITEMS, part, file, name)
        self._name, self._file, self._change = name, file, change

    def __len__(self) -> int:
        return len(self._raw)

    def __iter__(self) -> Iterator[Item]:
        for number, raw in enumerate(self._raw):
            item: Item = parse(_ITEM, raw, self._file, f"{self._name}[{number}]")
            yield item if self._change is None else self._change(item)


class WholeFile:
    """A file with all its keys, also those that the atlas does not know."""

    def __init__(
        self, data: bytes, parts: FileParts, file: str, change: Callable[[Item], Item] | None = None
    ) -> None:
        """data: of the file; parts: its parts; change: what becomes of each node before it is used. Raises
        FileError."""
        self._data, self._parts, self._file, self._change = data, parts, file, change
        self.links = FileItems(parts.links, "links", file)
        self.nodes = FileItems(parts.nodes, "nodes", file, change)

    def nodes_without(self, key: str) -> FileItems:
        """The nodes without one of their keys."""

        def change(node: Item) -> Item:
            node = node if self._change is None else self._change(node)
            return {name: value for name, value in node.items() if name != key}

        return FileItems(self._parts.nodes, "nodes", self._file, change)

    def unread(self) -> Item | None:
        """The keys at the top of the file that the atlas does not know, and known ones that hold nothing.

        None when they take more than `FREE_LIMIT`. Raises FileError.
        """
        known = [getattr(self._parts, name) for name in FileParts.__struct_fields__]
        if len(self._data) - sum(len(memoryview(part)) for part in known) > FREE_LIMIT:
            return None
        data = self._data.removeprefix(codecs.BOM_UTF8)
        return {
            name: parse(_VALUE, value, self._file, name)
            for name, value in parse(_UNREAD, data, self._file).items()
            if name not in FileParts.__struct_fields__ or bytes(value) in _NOTHING.get(name, ())
        }


_NOTHING = {"qParams": (b"null",), QK_ONLY: (b"null", b"{}")}
"""Known keys at the top of a file that are kept when they hold nothing: an export would leave them out."""


def layout_of(
    whole: WholeFile,
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
    more = whole.unread()
    if more is None or whole.nodes.size > ITEMS_LIMIT:
        return None
    theirs = whole.nodes
    ids = [node_id(node) for node in circuit.nodes]
    traced: dict[str, Any] = {}
    if circuit.qk_tracing is not None:
        names = {ids[place]: node["node_id"] for place, node in zip(order, theirs, strict=True)}
        traced = renamed(orjson.loads(circuit.qk_tracing), names)
    elif any(node.get(QK_RESULTS) for node in theirs):  # left out, because they are too large
        theirs = whole.nodes_without(QK_RESULTS)
    try:
        return pack(
            {
                "nodes": nodes_layout(theirs, nodes_of(circuit, ids, traced.get(QK_RESULTS, {})), order),
                "links": links_layout(whole.links, edges, order),
                "groups": [
                    None if entry is None else sorted(order[place] for place in entry.members)
                    for entry in entries
                ],
                "more": more,
            }
        )
    except LayoutTooLarge:
        return None
