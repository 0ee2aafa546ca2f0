"""The graph JSON that all tools share, typed: keys of a wrong type are refused with their path.

Keys that are not here are ignored, whatever they hold.
"""

import codecs
import json
import math
import re
from typing import Any

import msgspec

from schema.errors import FileError

TEXT_LIMIT = 100_000
"""Characters of any text but the prompt's."""
_AT = re.compile(r"(.*) - at `\$\.?(.*)`", re.DOTALL)
_BYTE = re.compile(r"(.*) \(byte (\d+)\)", re.DOTALL)


class RawMetadata(msgspec.Struct, gc=False):
    """`metadata`. Values that only some tools write are checked where they are used."""

    prompt_tokens: list[str]
    prompt: str
    slug: str = ""
    scan: str = ""
    schema_version: int | None = None
    node_threshold: float | None = None
    n_layers: int | None = None
    transcoder_list: list[str] | None = None
    feature_details: dict[str, Any] | None = None
    info: dict[str, Any] | None = None
    generation_settings: dict[str, Any] | None = None
    pruning_settings: dict[str, Any] | None = None
    atlas: dict[str, Any] | None = None


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
    token: str | None = None
    jsNodeId: str | None = None
    raw_influence: float | None = None
    component: str | None = None
    qk_tracing_results: msgspec.Raw = msgspec.Raw(b"null")
    """Kept as it is: `schema.formats.qk_tracing`."""


class RawLink(msgspec.Struct, gc=False):
    """One of `links`."""

    source: str
    target: str
    weight: float
    share: float | None = None
    heads: Any = None
    """In our own files what attention heads carry; checked by `schema.formats.atlas`."""


class RawView(msgspec.Struct, gc=False):
    """`qParams`."""

    pinnedIds: list[str] | str | None = None
    supernodes: list[list[str]] | str | None = None
    clerps: list[list[str]] | str | None = None


class RawGraph(msgspec.Struct, gc=False):
    """A whole file."""

    metadata: RawMetadata
    nodes: list[RawNode]
    links: list[RawLink]
    qParams: RawView | None = None
    qk_only_nodes: msgspec.Raw = msgspec.Raw(b"null")


_DECODER = msgspec.json.Decoder(RawGraph)


def decode(data: bytes, file: str) -> RawGraph:
    """The parsed file. Raises FileError."""
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return parse(_DECODER, data, file)
    except FileError as error:
        raise _not_finite(error, data) or _numbered(error, data) from error


def _not_finite(error: FileError, data: bytes) -> FileError | None:
    """JSON has no NaN and no infinity, but Python writes them: where the first one is."""
    if not error.key.startswith("byte ") or (b"NaN" not in data and b"Infinity" not in data):
        return None
    try:
        whole = json.loads(data)
    except (ValueError, RecursionError):
        return None
    todo: list[tuple[str, Any]] = [("", whole)]
    while todo:
        key, value = todo.pop()
        if isinstance(value, float) and not math.isfinite(value):
            return FileError(
                error.file,
                key,
                f"is {value}, which is no number of JSON",
                next_step="mend the value, or leave the file out",
            )
        if isinstance(value, dict):
            todo += [(f"{key}.{name}" if key else str(name), each) for name, each in reversed(value.items())]
        elif isinstance(value, list):
            todo += [(f"{key}[{place}]", value[place]) for place in reversed(range(len(value)))]
    return None


class _Loose(msgspec.Struct):
    """The lists, their items not looked at."""

    nodes: list[msgspec.Raw] = []
    links: list[msgspec.Raw] = []


def _numbered(error: FileError, data: bytes) -> FileError:
    """The parser does not say which item of a list is wrong; a second, slower look does."""
    name, elsewhere, _ = error.key.partition("[...]")
    kinds: dict[str, Any] = {"nodes": RawNode, "links": RawLink}
    kind = kinds.get(name)
    if not elsewhere or kind is None:
        return error
    try:
        items = getattr(msgspec.json.decode(data, type=_Loose), name)
    except (msgspec.DecodeError, RecursionError):  # something else is wrong, further on
        return error
    for place, item in enumerate(items):
        try:
            msgspec.json.decode(item, type=kind)
        except msgspec.DecodeError:
            key = error.key.replace("[...]", f"[{place}]", 1)
            return FileError(error.file, key, error.reason, next_step=error.next_step)
    return error


def parse(decoder: "msgspec.json.Decoder[Any]", data: bytes, file: str) -> Any:
    """`decoder.decode(data)`, its errors as FileError with the key at fault."""
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        reason, key = str(error), "the file"
        if found := _AT.fullmatch(reason):
            reason, key = found[1], found[2] or "the file"
        raise FileError(file, key, reason, next_step="mend the value, or leave the file out") from error
    except msgspec.DecodeError as error:
        reason, key = str(error), "the end of the file"
        if found := _BYTE.fullmatch(reason):
            reason, key = found[1], f"byte {found[2]}"
        elif data[:1] not in (b"{", b" ", b"\n"):
            key = "the file"
        raise FileError(file, key, reason, next_step="write or download the file again") from error
    except RecursionError as error:
        raise FileError(
            file, "the file", "lists or objects are nested too deeply", next_step="leave the file out"
        ) from error
    except UnicodeDecodeError as error:
        raise FileError(
            file, f"byte {error.start}", "is no UTF-8 text", next_step="write the file again as UTF-8"
        ) from error
