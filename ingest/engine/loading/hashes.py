"""Hashes of large files, kept on disk so that files which have not changed are not read again.

A file counts as unchanged when its size, its time of change and its inode are what they were. A file that
changed within the last seconds may change again without another time of change, so its hash is not kept.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from huggingface_hub import cached_assets_path

CHUNK = 1 << 20
"""Bytes that are read at a time."""

SETTLED_NS = 2_000_000_000
"""Nanoseconds after which a file is taken to have been written. Some file systems count time in steps of two
seconds."""


def content_hash(path: Path, *, kept: Path | None = None) -> str:
    """SHA-256 of the content of one file. kept: see `file_set_hash`. Raises OSError."""
    return _kept_hash("content", [path], _hash_content, kept)


def file_set_hash(files: Iterable[Path], *, kept: Path | None = None) -> str:
    """SHA-256 of the names, sizes and contents of files. The name of their folder does not matter.

    kept: folder of the kept hashes; None is a folder in the cache of huggingface_hub. Raises OSError for a
    file that cannot be read.
    """
    return _kept_hash("set", sorted(files, key=lambda path: path.name), _hash_set, kept)


def _hash_content(files: Sequence[Path]) -> str:
    with files[0].open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hash_set(files: Sequence[Path]) -> str:
    whole = hashlib.sha256()
    for path in files:
        whole.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                whole.update(chunk)
    return whole.hexdigest()


def _kept_hash(
    kind: str, files: Sequence[Path], read: Callable[[Sequence[Path]], str], kept: Path | None
) -> str:
    """The kept hash of files that have not changed, else the one that `read` computes now."""
    names = "\0".join([kind, *(os.fspath(path.absolute()) for path in files)])
    name = f"{hashlib.sha256(os.fsencode(names)).hexdigest()}.json"
    before = _stamps(files)
    entry: Path | None = None
    # A folder that cannot be read or written makes this slower, and nothing else.
    with suppress(OSError, ValueError):
        entry = (kept or Path(cached_assets_path("circuit-atlas", "hashes"))) / name
        found = json.loads(entry.read_text(encoding="utf-8"))
        if isinstance(found, dict) and found.get("files") == before and isinstance(found.get("sha256"), str):
            return str(found["sha256"])
    digest = read(files)
    settled = all(changed + SETTLED_NS < time.time_ns() for _, changed, _ in before)
    if entry is not None and settled and _stamps(files) == before:
        with suppress(OSError):
            entry.parent.mkdir(parents=True, exist_ok=True)
            part = entry.with_suffix(f".{os.getpid()}.part")
            part.write_text(json.dumps({"files": before, "sha256": digest}), encoding="utf-8")
            part.replace(entry)
    return digest


def _stamps(files: Sequence[Path]) -> list[list[int]]:
    """Size in bytes, time of change in nanoseconds since 1970, and inode of each file."""
    return [[stat.st_size, stat.st_mtime_ns, stat.st_ino] for stat in (path.stat() for path in files)]
