"""Finds the files below a path, recognises what each file is, and reads and unpacks a file."""

import codecs
import zlib
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import msgspec

from schema.errors import FileError, InputError
from schema.formats.features import INDEX
from schema.formats.raw import check_items
from schema.plain_file import TooLargeError, read_unpacked

SIZE_LIMIT = 1 << 30
"""Largest size in bytes of one file, unpacked. A graph of 2 000 nodes and 300 000 links has 50 MB."""
SMALLER = "write the graph with fewer nodes, or a lower threshold"
_LISTS = ("graph-metadata.json",)
"""Names of files that are beside graph files but are not graphs."""


_BYPRODUCTS = {"__MACOSX", ".ipynb_checkpoints"}
"""Folders whose files are left out when they lie in a folder that is imported."""


class FileKind(StrEnum):
    """The format of a file."""

    JSON = "json"
    PT = "pt"
    FEATURES = "features"
    """A folder of feature files with an `index.json.gz`."""


class FoundFile(NamedTuple):
    """One file to import."""

    path: Path
    kind: FileKind
    size: int
    """Size on disk in bytes."""


def find(paths: Iterable[Path]) -> list[FoundFile]:
    """The files at the paths and in the folders, each file once, sorted by name.

    Raises InputError when a path does not exist or contains nothing that can be imported.
    """
    found: dict[Path, FoundFile] = {}
    for path in paths:
        if not path.exists():
            raise InputError(f"{path} does not exist", next_step="name graph files, or folders of them")
        some = False
        for each in sorted(_walk(path)):
            kind = _kind(each)
            if kind is not None or each == path:
                place = each.parent if kind is FileKind.FEATURES else each
                some = True
                found.setdefault(place, FoundFile(place, kind or FileKind.JSON, each.stat().st_size))
        if not some:
            raise InputError(
                f"{path} holds no .json, .json.gz or .pt file",
                next_step="name graph files, or folders of them",
            )
    return list(found.values())


def read(path: Path) -> bytes:
    """The content of a file; a gzip file is unpacked. Raises FileError."""
    try:
        return read_unpacked(path, SIZE_LIMIT)
    except TooLargeError as error:
        raise FileError(str(path), "the file", str(error), next_step=SMALLER) from error
    except (OSError, EOFError, zlib.error) as error:
        raise FileError(
            str(path), "the file", f"cannot be read: {error}", next_step="write or download it again"
        ) from error


class _Graph(msgspec.Struct):
    """What every graph has."""

    nodes: msgspec.Raw


def parts(data: bytes, file: str) -> list[tuple[str, bytes]]:
    """Name and content of each graph of a JSON file: FILE, or FILE[0], FILE[1] … when the file is a list.

    Raises FileError when it is a list of something else.
    """
    data = data.removeprefix(codecs.BOM_UTF8)
    check_items(data, file)
    if data.lstrip()[:1] != b"[":
        return [(file, data)]
    try:
        found = msgspec.json.decode(data, type=list[msgspec.Raw])
        msgspec.json.decode(found[0], type=_Graph)
    except (IndexError, msgspec.ValidationError) as error:
        raise FileError(
            file,
            "the file",
            "is a list, but not of graphs",
            next_step="name graph files, or folders of them",
        ) from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise FileError(file, "the file", str(error), next_step="write or download the file again") from error
    return [(f"{file}[{number}]", bytes(each)) for number, each in enumerate(found)]


def is_feature(data: bytes) -> bool:
    """Whether a JSON file describes a feature and not a graph."""
    return b'"examples_quantiles"' in data[:200_000] and b'"links"' not in data


def _walk(path: Path) -> Iterator[Path]:
    if path.is_dir():
        for each in path.rglob("*"):
            if each.is_file() and not is_byproduct(each.relative_to(path)):
                yield each
    else:
        yield path


def is_byproduct(path: Path) -> bool:
    """Whether a program left the file beside the user's own, as macOS and notebooks do."""
    return path.name.startswith("._") or not _BYPRODUCTS.isdisjoint(path.parts)


def _kind(path: Path) -> FileKind | None:
    name = path.name.lower()
    if name == INDEX:
        return FileKind.FEATURES
    if name in _LISTS:
        return None
    if name.endswith((".json", ".json.gz")):
        return FileKind.JSON
    return FileKind.PT if name.endswith((".pt", ".pt.gz")) else None
