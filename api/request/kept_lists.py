"""Lists that are kept for their next page, because the database must compute the whole list for every page.

The first page of a list asks the database for a long stretch, and the stretch waits here. Later pages are cut
from it. A cursor is a place in the list and no more, so it never depends on what is kept: another process, a
restart, an expiry or a full memory costs one more question to the database.

A first page always asks the database. Whoever reads a list from its beginning therefore sees what the
database holds now, and whoever goes on reads the same list to its end.
"""

import hashlib
import time
import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson
from cachetools import TTLCache

PIECE = 200
"""Entries that are packed together. A page unpacks one or two pieces."""


class Kept(NamedTuple):
    """A stretch of a list, packed. The number of its bytes is what it takes of the memory."""

    columns: dict[str, Any]
    """The other columns of the answer, such as `total`."""
    pieces: list[bytes]
    """JSON arrays of `PIECE` entries each, compressed: entries repeat the same names and ids."""

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Kept":
        """record: what the question answered, with the stretch as `rows`. It takes long, so call it in a
        thread."""
        rows = record["rows"]
        return cls(
            {name: value for name, value in record.items() if name != "rows"},
            [
                zlib.compress(orjson.dumps(rows[start : start + PIECE]), 1)
                for start in range(0, len(rows), PIECE)
            ],
        )

    @property
    def size(self) -> int:
        """Bytes of the packed entries."""
        return sum(map(len, self.pieces))

    def rows(self, skip: int, limit: int) -> list[Any]:
        """Entries of the stretch; `skip` counts from its beginning."""
        first = skip // PIECE
        found = [
            row
            for piece in self.pieces[first : (skip + limit - 1) // PIECE + 1]
            for row in orjson.loads(zlib.decompress(piece))
        ]
        return found[skip - first * PIECE :][:limit]


class KeptLists(TTLCache[bytes, Kept]):
    """The stretches that one process keeps: the least recently read one goes first when memory is short."""

    def __init__(self, max_bytes: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """max_bytes: of all stretches together; 0 keeps nothing. seconds: after which a stretch expires."""
        super().__init__(max_bytes, seconds, timer=clock, getsizeof=lambda kept: kept.size)

    def put(self, key: bytes, kept: Kept) -> None:
        """Keeps a stretch in place of an older one. One that is longer than the whole memory is not kept."""
        self.pop(key, None)
        if kept.size <= self.maxsize:
            self[key] = kept


def key_of(question: str, parameters: Mapping[str, Any], start: int) -> bytes:
    """Equal for equal stretches: the question, its parameters and the place where the stretch begins."""
    asked = orjson.dumps([question, parameters, start], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(asked).digest()
