"""What a graph file says about itself: its title, its makers, and sections that the atlas keeps unread."""

import json
from typing import Any

import msgspec

from schema.circuit.records import Source
from schema.formats.raw import FREE_LIMIT, TEXT_LIMIT, FileParts, RawGraph, parse
from schema.formats.variant import SourceNames, Variant, section

LIMIT = 1_000_000
"""Largest size in bytes of a section of the file that is kept unread."""
URLS = 100
"""Largest number of addresses of sources."""
OURS = "atlas"
"""The key of `metadata` under which our exports hold facts that the format has no key for."""


_OBJECT: "msgspec.json.Decoder[dict[str, msgspec.Raw] | None]" = msgspec.json.Decoder(
    dict[str, msgspec.Raw] | None
)
_VALUE = msgspec.json.Decoder()


def source(
    raw: RawGraph, parts: FileParts, variant: Variant, names: SourceNames, file: str
) -> tuple[Source, tuple[str, ...]]:
    """The facts about the file, without its layout; and remarks about what was left out.

    parts: those of the file. Raises FileError.
    """
    info, texts, notes = raw.metadata.info, {}, []
    metadata: dict[str, Any] = {}
    for key, part, ours in (
        ("metadata", parts.metadata, raw.metadata.atlas),
        ("qParams", parts.qParams, b""),
    ):
        text, size = None, len(memoryview(part)) - len(memoryview(ours))
        if 0 < size <= FREE_LIMIT:
            found = parse(_OBJECT, part, file, key)
            values = {
                name: parse(_VALUE, value, file, f"{key}.{name}")
                for name, value in (found or {}).items()
                if key != "metadata" or name != OURS
            }
            if key == "metadata":
                metadata = values
            # The encoders of other modules refuse numbers of more than 64 bits.
            text = None if found is None else json.dumps(values, ensure_ascii=False, separators=(",", ":"))
        if size > FREE_LIMIT or len((text or "").encode()) > LIMIT:
            notes.append(f"{key} is not kept for exports: it takes more than {LIMIT // 1_000_000} MB")
            text = None
        texts[key] = text
    return Source(
        tool=variant.tool,
        slug=raw.metadata.slug[:TEXT_LIMIT],
        scan=raw.metadata.scan[:TEXT_LIMIT],
        source_set=names.source_set,
        attention_source_set=names.attention_source_set,
        creator=section(info, "creator_name"),
        description=section(info, "description"),
        title=_short(section(metadata, "title_prefix") or section(metadata, "title")),
        creator_url=_short(section(info, "creator_url")),
        source_urls=_urls((info or {}).get("source_urls")),
        create_time_ms=_time((info or {}).get("create_time_ms")),
        generator=_generator((info or {}).get("generator")),
        file_metadata=texts["metadata"],
        file_view=texts["qParams"],
    ), tuple(notes)


def _short(text: str | None) -> str | None:
    return None if text is None else text[:TEXT_LIMIT]


def _urls(value: Any) -> tuple[str, ...]:
    """The addresses: a list of texts, or one text."""
    found = value if isinstance(value, list) else [value]
    return tuple(each[:TEXT_LIMIT] for each in found[:URLS] if isinstance(each, str) and each)


def _time(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value < 2**63 else None


def _generator(value: Any) -> str | None:
    """The name and version of the program: an object with both, or a text."""
    if not isinstance(value, dict):
        return _short(value) if isinstance(value, str) and value else None
    parts = [section(value, "name"), section(value, "version")]
    return _short(" ".join(part for part in parts if part)) or None
