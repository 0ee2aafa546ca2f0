"""Which files a path stands for, and what each of them is; they are read unpacked, one at a time."""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from schema.errors import FileError, InputError
from schema.formats.features import INDEX

SIZE_LIMIT = 1 << 30
"""Bytes of one file, unpacked; a graph of 2 000 nodes and 300 000 links has 50 MB."""
SMALLER = "write the graph with fewer nodes, or a lower threshold"
_LISTS = ("graph-metadata.json",)
"""Files that lie among graphs and are none."""


class Kind(StrEnum):
    """What to read a file as."""

    JSON = "json"
    PT = "pt"
    FEATURES = "features"
    """The folder of an `index.json.gz`."""


class Found(NamedTuple):
    """One file to import."""

    path: Path
    kind: Kind
    size: int


def find(paths: Iterable[Path]) -> list[Found]:
    """The files at the paths, folders searched through, each once, by name.

    Raises InputError when a path is not there or nothing in it can be imported.
    """
    found: dict[Path, Found] = {}
    for path in paths:
        if not path.exists():
            raise InputError(f"{path} is not there", next_step="name graph files, or folders of them")
        some = False
        for each in sorted(_walk(path)):
            kind = _kind(each)
            if kind is not None or each == path:
                place = each.parent if kind is Kind.FEATURES else each
                some = True
                found.setdefault(place, Found(place, kind or Kind.JSON, each.stat().st_size))
        if not some:
            raise InputError(
                f"{path} holds no .json, .json.gz or .pt file",
                next_step="name graph files, or folders of them",
            )
    return list(found.values())


def read(path: Path) -> bytes:
    """The file's bytes, unpacked when it is gzip. Raises FileError."""
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise FileError(str(path), "the file", f"has more than {SIZE_LIMIT >> 20} MB", next_step=SMALLER)
        data = path.read_bytes()
        if data[:2] != b"\x1f\x8b":
            return data
        with gzip.open(path) as file:
            data = file.read(SIZE_LIMIT + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise FileError(
            str(path), "the file", f"cannot be read: {error}", next_step="write or download it again"
        ) from error
    if len(data) > SIZE_LIMIT:
        raise FileError(
            str(path), "the file", f"unpacks to more than {SIZE_LIMIT >> 20} MB", next_step=SMALLER
        )
    return data


def is_feature(data: bytes) -> bool:
    """Whether a JSON file is one of a feature, not of a graph."""
    return b'"examples_quantiles"' in data[:200_000] and b'"links"' not in data


def _walk(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from (each for each in path.rglob("*") if each.is_file())
    else:
        yield path


def _kind(path: Path) -> Kind | None:
    name = path.name
    if name == INDEX:
        return Kind.FEATURES
    if name in _LISTS:
        return None
    if name.endswith((".json", ".json.gz")):
        return Kind.JSON
    return Kind.PT if name.endswith((".pt", ".pt.gz")) else None
