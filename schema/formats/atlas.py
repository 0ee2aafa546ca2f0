"""Our own exports (`schema.exports.graph_json`), whose `metadata.atlas` restores the complete circuit.

The block is checked like all data from outside. When the nodes and edges do not have the hash `content` of
the block, somebody edited the file. The circuit then gets a new id, like any imported circuit.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, fields, is_dataclass, replace
from types import NoneType
from typing import Any, get_args, get_type_hints

import msgspec

from schema.circuit.attention import HeadPart, HeadTotal
from schema.circuit.canonical import digest
from schema.circuit.records import Circuit, Label, Model, NodeKind, Prompt, Source, Supernode, TranscoderSet
from schema.errors import FileError
from schema.exports.graph_json import ATTENTION, OWN_KEYS, SETTINGS, VERSION, node_id
from schema.formats.circuit_tracer import plain_place
from schema.formats.numbers import feature_index
from schema.formats.raw import RawGraph, RawNode, free_part, parse
from schema.formats.variant import NodePlace, SourceNames, Variant, kind, layer_number


def _struct_of(record: type, names: Iterable[str]) -> type[msgspec.Struct]:
    """A msgspec type with these fields of a record.

    A field is optional when the record has a default for it or when it can be None.
    """
    types = get_type_hints(record)
    defaults = {name: None for name in names if NoneType in get_args(types[name])}
    if is_dataclass(record):
        defaults |= {each.name: each.default for each in fields(record) if each.default is not MISSING}
    required = [(name, types[name]) for name in names if name not in defaults]
    optional = [(name, types[name], defaults[name]) for name in names if name in defaults]
    return msgspec.defstruct(f"{record.__name__}InFile", [*required, *optional])


_PROMPT = _struct_of(Prompt, [each.name for each in fields(Prompt) if each.name not in OWN_KEYS])
"""The fields of `Prompt` for which the common format has no key."""
_CIRCUIT = _struct_of(Circuit, SETTINGS)
"""The fields of `Circuit` for which the common format has no key."""
_HEAD_TOTAL = _struct_of(HeadTotal, HeadTotal._fields)
_HEAD_PART = _struct_of(HeadPart, [name for name in HeadPart._fields if name not in ("source", "target")])
"""The part of a link that one attention head carries."""


class SupernodeInFile(msgspec.Struct):
    """A supernode with its members by node id."""

    label: str
    members: list[str]
    method: str
    author: str
    position: int | None = None
    score: float | None = None


class AtlasBlock(msgspec.Struct):
    """`metadata.atlas`."""

    imported: bool
    """Whether the exported circuit was imported from another tool's file."""
    content: str
    """`digest` of the exported circuit."""
    model: Model
    transcoders: TranscoderSet
    prompt: _PROMPT  # type: ignore[valid-type]  # made from the record
    settings: _CIRCUIT  # type: ignore[valid-type]  # made from the record
    source: Source | None = None
    as_in_file: bool = False
    """Whether the file is written as the one from which the circuit was imported."""
    labels: tuple[Label, ...] = ()
    filled: msgspec.Raw = msgspec.Raw(b"{}")
    """Node id in the file → its clerp before a label filled it: [] for no such key, [value]."""
    pinned: tuple[str, ...] = ()
    """Pinned nodes; here and in `supernodes` a node goes by its id in our form."""
    supernodes: tuple[SupernodeInFile, ...] = ()
    heads: tuple[_HEAD_TOTAL, ...] = ()  # type: ignore[valid-type]  # made from the record


class _Head(msgspec.Struct):
    """What decides how `metadata.atlas` is read."""

    version: msgspec.Raw = msgspec.Raw(b"null")
    as_in_file: msgspec.Raw = msgspec.Raw(b"false")


_HEAD = msgspec.json.Decoder(_Head | None)
_BLOCK = msgspec.json.Decoder(AtlasBlock)
_HEADS = msgspec.json.Decoder(list[_HEAD_PART] | None)  # type: ignore[valid-type]  # made from the record
_FILLED: "msgspec.json.Decoder[dict[str, list[Any]]]" = msgspec.json.Decoder(dict[str, list[Any]])
_REMOVE = "remove the key to import the graph without it"


def block(graph: RawGraph, file: str) -> AtlasBlock | None:
    """The checked block; None when the file has no block of this version. Raises FileError."""
    if _head(graph) is None:
        return None
    try:
        found: AtlasBlock = parse(_BLOCK, graph.metadata.atlas, file, "metadata.atlas")
        parse(_FILLED, free_part(found, "filled", file, "metadata.atlas."), file, "metadata.atlas.filled")
    except FileError as error:
        raise FileError(file, error.key, error.reason, next_step=_REMOVE) from error
    return found


def _head(graph: RawGraph) -> _Head | None:
    """The head of a block of this version; None when there is none."""
    found = _HEAD.decode(graph.metadata.atlas)
    return None if found is None or bytes(found.version) not in _VERSIONS else found


_VERSIONS = {f"{VERSION}".encode(), f"{VERSION}.0".encode()}
"""How JSON writes our version. Some programs write whole numbers as 1.0."""


def applies(graph: RawGraph) -> bool:
    """Whether the nodes are written in our form, and not as in the file that the circuit came from."""
    found = _head(graph)
    return found is not None and bytes(found.as_in_file) == b"false"


def place(node: RawNode, graph: RawGraph) -> NodePlace:
    what = kind(node)
    allowed = (None, ATTENTION) if what in (NodeKind.FEATURE, NodeKind.ERROR) else (None,)
    if what is not NodeKind.OTHER and node.component not in allowed:
        raise ValueError(f"a {what} node cannot have the component {str(node.component)[:60]!r}")
    if what is NodeKind.FEATURE:
        layer = layer_number(node)
        index = feature_index(node, layer, paired=True)
        return NodePlace(what, layer, node.ctx_idx, index, node.component)
    if what is NodeKind.OTHER:
        return NodePlace(what, layer_number(node), node.ctx_idx, None, node.component)
    return replace(plain_place(node, what), component=node.component)


def names(graph: RawGraph) -> SourceNames:
    return SourceNames("", "", None)  # the block gives the names


def restore(
    circuit: Circuit, found: AtlasBlock, places: dict[str, int], graph: RawGraph, file: str
) -> Circuit:
    """The circuit with the facts from the block and from the heads of the links.

    places: node id in the file → place in `circuit.nodes`. Raises FileError.
    """
    prompt = Prompt(circuit.prompt.text, circuit.prompt.tokens, **_fields(found.prompt))
    members = {name for group in found.supernodes for name in group.members}
    kept = set(found.pinned)
    names = [node_id(node) for node in circuit.nodes]
    nodes = tuple(
        replace(node, pinned=name in kept or name not in members) if node.pinned else node
        for node, name in zip(circuit.nodes, names, strict=True)
    )
    ours = {name: place for place, name in enumerate(names)}
    groups = _groups(circuit.supernodes, found.supernodes, ours)
    restored = replace(
        circuit,
        prompt=prompt,
        model=found.model,
        transcoders=found.transcoders,
        source=found.source,
        nodes=nodes,
        labels=_labels(circuit.labels, found.labels),
        supernodes=groups,
        head_parts=tuple(_head_parts(circuit, graph, places, file)),
        head_totals=tuple(HeadTotal(**_fields(total)) for total in found.heads),
        **_fields(found.settings),
    )
    content = digest(restored)
    edited = content != found.content
    return replace(restored, content=content if found.imported or edited else None)


def _head_parts(circuit: Circuit, graph: RawGraph, places: dict[str, int], file: str) -> Iterator[HeadPart]:
    keys = {name: circuit.nodes[place].key for name, place in places.items()}
    for number, link in enumerate(graph.links):
        for part in parse(_HEADS, link.heads, file, f"links[{number}].heads") or ():
            yield HeadPart(keys[link.source], keys[link.target], **_fields(part))


def _fields(struct: msgspec.Struct) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


def _labels(in_view: tuple[Label, ...], exported: tuple[Label, ...]) -> tuple[Label, ...]:
    """The exported labels, and the labels that somebody changed or added in the file."""
    known = {(label.layer, label.index, label.component, label.text) for label in exported}
    return (
        *exported,
        *(label for label in in_view if (label.layer, label.index, label.component, label.text) not in known),
    )


def unfilled(found: AtlasBlock) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Gives a node of the file with the clerp that an export filled empty again, unless it was edited."""
    labels = {label.text for label in found.labels}
    filled = _FILLED.decode(found.filled)

    def change(node: dict[str, Any]) -> dict[str, Any]:
        before = filled.get(node["node_id"])
        if before is not None and node.get("clerp") in labels:
            node = {key: value for key, value in node.items() if key != "clerp"}
            node |= {"clerp": before[0]} if before else {}
        return node

    return change


def _groups(
    in_view: tuple[Supernode, ...], exported: tuple[SupernodeInFile, ...], places: dict[str, int]
) -> tuple[Supernode, ...]:
    """The exported supernodes that the file still shows, and the supernodes that somebody added."""
    shown = {(group.label, group.members): group for group in in_view}
    result = []
    known = set()
    for group in exported:
        members = tuple(sorted(places[name] for name in group.members if name in places))
        if (group.label, members) in shown:
            known.add((group.label, members))
            result.append(
                Supernode(group.label, group.position, members, group.method, group.author, group.score)
            )
    return (*result, *(group for key, group in shown.items() if key not in known))


ATLAS = Variant("circuit-atlas", applies, place, names, author="unknown")
