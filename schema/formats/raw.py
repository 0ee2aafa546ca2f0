"""The typed form of the graph JSON that all tools share. A value of a wrong type is refused with its key.

Keys that are not declared here are ignored.
"""

import codecs
import json
import math
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from schema.errors import FileError

LISTS_LEAST = 300_000
"""Number of lists and objects that every file may have."""
BYTES_OF_LIST = 16
"""A larger file may have one list or object for this many bytes. A link of a graph takes 60 or more."""
ITEMS_LEAST = 2_000_000
"""Number of items that every file may have."""
BYTES_OF_ITEM = 4
"""A larger file may have one item for this many bytes."""
BYTES_OF_SOUGHT = 16
"""An error in a larger file is told by its place in lists when the file has at most one item for this many
bytes. A link of a graph takes 20 for each of its values."""
FREE_LIMIT = 8_000_000
"""Largest size in bytes of a part whose keys every tool chooses: it can take 25 times as much memory."""
TEXT_LIMIT = 100_000
"""Largest number of characters of a text, except that of the prompt."""
_AT = re.compile(r"(.*) - at `\$\.?(.*)`", re.DOTALL)
_BYTE = re.compile(r"(.*) \(byte (\d+)\)", re.DOTALL)


_NULL = msgspec.Raw(b"null")


class _Metadata(msgspec.Struct, gc=False):
    """The keys of `metadata` that have one form."""

    prompt_tokens: list[str]
    prompt: str
    slug: str = ""
    scan: str = ""
    node_threshold: float | None = None
    n_layers: int | None = None
    transcoder_list: list[str] | None = None
    atlas: msgspec.Raw = _NULL
    """An object or null, kept unparsed for `schema.formats.atlas`."""


class _MetadataInFile(_Metadata, gc=False):
    """`metadata` before its free parts are decoded."""

    schema_version: msgspec.Raw = _NULL
    feature_details: msgspec.Raw = _NULL
    info: msgspec.Raw = _NULL
    generation_settings: msgspec.Raw = _NULL
    pruning_settings: msgspec.Raw = _NULL


class RawMetadata(_Metadata, gc=False):
    """`metadata`. Values that only some tools write are checked where they are used."""

    versioned: bool = False
    """Whether there is a `schema_version`. Some tools write "1.0"."""
    feature_details: dict[str, Any] | None = None
    info: dict[str, Any] | None = None
    generation_settings: dict[str, Any] | None = None
    pruning_settings: dict[str, Any] | None = None


class RawNode(msgspec.Struct, gc=False):
    """One of `nodes`."""

    node_id: str
    layer: str | int
    ctx_idx: int
    feature_type: str
    feature: int | None = None
    clerp: str | None = None
    influence: float | None = None
    activation: float | None = None
    token_prob: float | None = None
    is_target_logit: bool | int | None = None
    token: str | None = None
    jsNodeId: str | None = None
    raw_influence: float | None = None
    component: str | None = None
    qk_tracing_results: msgspec.Raw = _NULL
    """Kept unparsed for `schema.formats.qk_tracing`."""


class RawLink(msgspec.Struct, gc=False):
    """One of `links`."""

    source: str
    target: str
    weight: float
    share: float | None = None
    heads: msgspec.Raw = _NULL
    """In our own files the parts that attention heads carry. Kept unparsed for `schema.formats.atlas`."""


class RawView(msgspec.Struct, gc=False):
    """`qParams`."""

    pinnedIds: list[str] | str | None = None
    supernodes: list[list[str]] | str | None = None
    clerps: Any = None
    """Viewers write several forms. `schema.formats.view` checks them."""


class _GraphInFile(msgspec.Struct, gc=False):
    """A complete file before its free parts are decoded."""

    metadata: _MetadataInFile
    nodes: list[RawNode]
    links: list[RawLink]
    qParams: msgspec.Raw = _NULL
    qk_only_nodes: msgspec.Raw = _NULL


class RawGraph(msgspec.Struct, gc=False):
    """A complete file."""

    metadata: RawMetadata
    nodes: list[RawNode]
    links: list[RawLink]
    qParams: RawView | None
    qk_only_nodes: msgspec.Raw


class FileParts(msgspec.Struct, gc=False):
    """The parts of a file with all their keys, unparsed. A part that is not in the file is empty."""

    metadata: msgspec.Raw
    nodes: msgspec.Raw
    links: msgspec.Raw
    qParams: msgspec.Raw = msgspec.Raw(b"")
    qk_only_nodes: msgspec.Raw = msgspec.Raw(b"")


_DECODER = msgspec.json.Decoder(_GraphInFile)
_LAX = msgspec.json.Decoder(_GraphInFile, strict=False)
_VIEW = msgspec.json.Decoder(RawView | None)
_SECTION: "msgspec.json.Decoder[dict[str, Any] | None]" = msgspec.json.Decoder(dict[str, Any] | None)
_OBJECT = msgspec.json.Decoder(msgspec.defstruct("Object", []) | None)
"""Takes any object, and keeps nothing of it."""
_PARTS = msgspec.json.Decoder(FileParts)


def decode(data: bytes, file: str) -> RawGraph:
    """The parsed content of a file. file: its name in messages. Raises FileError."""
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return _decoded(data, file)
    except FileError as error:
        raise (_not_finite(error, data) or _other_graph(error, data) or _numbered(error, data)) from error


def _decoded(data: bytes, file: str) -> RawGraph:
    """As `decode`, with errors that do not number the items of lists."""
    try:
        found: _GraphInFile = parse(_DECODER, data, file)
    except FileError as error:
        if not error.reason.endswith("got `float`"):
            raise
        # Some programs write whole numbers as 1.0 or 1e0. Few files need this, and it takes longer.
        found = parse(_LAX, data, file)
    metadata = found.metadata
    parse(_OBJECT, metadata.atlas, file, "metadata.atlas")
    known = {name: getattr(metadata, name) for name in _Metadata.__struct_fields__}
    for name in ("feature_details", "info", "generation_settings", "pruning_settings"):
        known[name] = parse(_SECTION, free_part(metadata, name, file, "metadata."), file, f"metadata.{name}")
    view = parse(_VIEW, free_part(found, "qParams", file), file, "qParams")
    versioned = bytes(metadata.schema_version) != b"null"
    return RawGraph(
        RawMetadata(**known, versioned=versioned), found.nodes, found.links, view, found.qk_only_nodes
    )


def free_part(within: msgspec.Struct, name: str, file: str, place: str = "") -> msgspec.Raw:
    """An unparsed part that is small enough to be parsed. place: what stands before its name in messages.
    Raises FileError."""
    part: msgspec.Raw = getattr(within, name)
    size = len(memoryview(part))
    if size > FREE_LIMIT:
        raise FileError(
            file,
            place + name,
            f"takes {size / 1e6:.1f} MB, more than {FREE_LIMIT // 1_000_000}",
            next_step="remove what is no part of the graph from it, or leave the file out",
        )
    return part


def file_parts(data: bytes, file: str) -> FileParts:
    """The parts of a file that `decode` accepts. Raises FileError."""
    found: FileParts = parse(_PARTS, data.removeprefix(codecs.BOM_UTF8), file)
    return found


def _not_finite(error: FileError, data: bytes) -> FileError | None:
    """The place of the first NaN or infinity, which JSON does not have but Python writes."""
    if not error.key.startswith("byte ") or (b"NaN" not in data and b"Infinity" not in data):
        return None
    if not _sought(data):
        return None
    try:
        whole = json.loads(data)
    except (ValueError, RecursionError):
        return None
    # Where the search stands: a key of each level, and what follows it on that level.
    keys: list[str] = [""]
    levels: list[Iterator[tuple[object, Any]]] = [iter([("", whole)])]
    while levels:
        following = next(levels[-1], None)
        if following is None:
            levels.pop()
            keys.pop()
            continue
        name, value = following
        parent = "".join(keys[:-1])
        keys[-1] = f"[{name}]" if isinstance(name, int) else f".{name}" if parent else str(name)
        if isinstance(value, float) and not math.isfinite(value):
            return FileError(
                error.file,
                parent + keys[-1],
                f"is {value}, which JSON does not have",
                next_step="correct the value, or leave the file out",
            )
        if isinstance(value, dict | list):
            levels.append(iter(value.items()) if isinstance(value, dict) else iter(enumerate(value)))
            keys.append("")
    return None


def _sought(data: bytes) -> bool:
    """Whether the file may be read once more to find the place of an error in it.

    Items in another form than that of graphs take far more memory than their bytes.
    """
    return data.count(b",") <= max(ITEMS_LEAST, len(data) // BYTES_OF_SOUGHT)


_OTHER_FORMATS = (
    # Names no transcoders, gives logits no probability, and links nodes by their place.
    ({"node_type", "feature_idx", "token_id"}, "that of llm-circuits"),
    # Names no transcoders, has no tokens of the prompt, and numbers logits by their rank.
    ({"node_type", "feature_idx"}, "that of attribution-graph-structural-analysis"),
)
"""Keys of the nodes of formats that are not read, and whose formats they are. The first that fits counts."""


def _other_graph(error: FileError, data: bytes) -> FileError | None:
    """The error of a file whose nodes have the keys of another format."""
    if not _sought(data):
        return None
    try:
        nodes = msgspec.json.decode(data, type=_Loose).nodes
        first = msgspec.json.decode(nodes[0]) if nodes else None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    wanted = [each.encode_name for each in msgspec.structs.fields(RawNode) if each.required]
    if not isinstance(first, dict) or len(first.keys() & set(wanted)) > 2:
        return None
    keys = ", ".join(key[:40] for key in list(first)[:12]) or "no keys"
    named = next((name for known, name in _OTHER_FORMATS if first.keys() >= known), "another")
    return FileError(
        error.file,
        "nodes[0]",
        f"has {keys}, but nodes of graph JSON have {', '.join(wanted)}: the format is {named}",
        next_step="convert it (docs/import.md lists the keys of graph JSON), or leave it out",
    )


class _Loose(msgspec.Struct):
    """The lists of a file with unparsed items."""

    nodes: list[msgspec.Raw] = []
    links: list[msgspec.Raw] = []


def _numbered(error: FileError, data: bytes) -> FileError:
    """The error with the number of the wrong item, which is found by parsing item by item."""
    name, elsewhere, _ = error.key.partition("[...]")
    kinds: dict[str, Any] = {"nodes": RawNode, "links": RawLink}
    kind = kinds.get(name)
    if not elsewhere or kind is None or not _sought(data):
        return error
    try:
        items = getattr(msgspec.json.decode(data, type=_Loose), name)
    except (msgspec.DecodeError, RecursionError):  # the file has another error further on
        return error
    for place, item in enumerate(items):
        try:
            msgspec.json.decode(item, type=kind, strict=not error.reason.endswith("got `float`"))
        except msgspec.DecodeError:
            key = error.key.replace("[...]", f"[{place}]", 1)
            return FileError(error.file, key, error.reason, next_step=error.next_step)
    return error


def check_items(data: bytes, file: str) -> None:
    """Refuse JSON with so many items that they take far more memory than its bytes.

    A list or an object takes some 200 bytes of memory and a number 32, but two bytes of JSON can write them.
    Brackets and commas in texts count too. Raises FileError.
    """
    size = len(data)
    for what, n, most in (
        ("lists and objects", data.count(b"[") + data.count(b"{"), max(LISTS_LEAST, size // BYTES_OF_LIST)),
        ("items", data.count(b","), max(ITEMS_LEAST, size // BYTES_OF_ITEM)),
    ):
        if n > most:
            raise FileError(
                file,
                "the file",
                f"has {n} {what} in {size} bytes, more than any graph or feature",
                next_step="leave the file out",
            )


def parse(decoder: "msgspec.json.Decoder[Any]", data: bytes | msgspec.Raw, file: str, place: str = "") -> Any:
    """`decoder.decode(data)`. place: the key of the part that `data` is; empty for the file.

    Raises FileError with the key of the wrong value.
    """
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        reason, key = str(error), place or "the file"
        if found := _AT.fullmatch(reason):
            reason, key = found[1], ".".join(filter(None, (place, found[2]))) or "the file"
        raise FileError(file, key, reason, next_step="correct the value, or leave the file out") from error
    except msgspec.DecodeError as error:
        reason, key = str(error), place or "the end of the file"
        if found := _BYTE.fullmatch(reason):
            reason, key = found[1], f"byte {found[2]}{f' of {place}' if place else ''}"
        elif not place and bytes(memoryview(data)[:1]) not in (b"{", b" ", b"\n"):
            key = "the file"
        raise FileError(file, key, reason, next_step="write or download the file again") from error
    except RecursionError as error:
        raise FileError(
            file, "the file", "lists or objects are nested too deeply", next_step="leave the file out"
        ) from error
    except UnicodeDecodeError as error:
        raise FileError(
            file,
            f"byte {error.start}{f' of {place}' if place else ''}",
            "is not UTF-8 text",
            next_step="write the file again as UTF-8",
        ) from error
