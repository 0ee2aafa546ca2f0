"""Firings of texts on disk, so that one pass over a corpus serves `examples`, `label` and `supernodes`.

There is one SQLite file for each model, transcoder set and number format, which are known by hashes of their
files. A text is known by a hash of its tokens. Values are kept as they were computed, so that repeated
commands give the same answers. A file that reached `MOST_BYTES` takes no further texts; those are computed
each time. Any file may be deleted.
"""

import hashlib
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
from huggingface_hub import cached_assets_path

from ingest.engine.replacement.firings import TextFirings, firings
from ingest.engine.replacement.model import Encoded, ReplacementModel
from schema.errors import FileError

FORMAT = "1"
"""Version of what is stored. Raise it when the same model would give other values."""
MOST_BYTES = 20 << 30
"""Size of a file at which no further texts are stored."""
LEAST_FREE = 1 << 30
"""Free space of the disk below which no further texts are stored."""


class FiringsCache:
    """The firings of one model and transcoder set that are on disk."""

    def __init__(self, identity: Sequence[str | None], folder: Path | None = None) -> None:
        """Open the file, or make it.

        identity: what tells the model, the transcoders and the number format from all others. folder: None is
        a folder in the cache of huggingface_hub. Raises FileError.
        """
        name = hashlib.sha256("\0".join((FORMAT, *map(str, identity))).encode()).hexdigest()
        folder = Path(cached_assets_path("circuit-atlas", "firings")) if folder is None else folder
        self.path = folder / f"{name}.sqlite"
        with self._readable():
            folder.mkdir(parents=True, exist_ok=True)
            with closing(self._connect()) as connection, connection:
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS texts (tokens BLOB PRIMARY KEY, starts BLOB, position BLOB, "
                    "feature BLOB, activation BLOB) WITHOUT ROWID"
                )

    def firings(self, model: ReplacementModel, texts: Sequence[Encoded]) -> Iterator[TextFirings]:
        """The firings of each text, in order: from the file, else computed and stored.

        Call it with as many texts as memory holds. Raises FileError, and the errors of `firings`.
        """
        keys = [_key(text) for text in texts]
        with closing(self._connect()) as connection:
            with self._readable():
                found = {key: read for key in keys if (read := _read(connection, key)) is not None}
            missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
            new = dict(zip(missing, firings(model, list(missing.values())), strict=True))
            if new and self._has_room():
                with self._readable(), connection:
                    connection.executemany(
                        "INSERT OR IGNORE INTO texts VALUES (?, ?, ?, ?, ?)",
                        ([key, *_columns(each)] for key, each in new.items()),
                    )
        found |= new
        return (found[key] for key in keys)

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=60)

    def _has_room(self) -> bool:
        return self.path.stat().st_size < MOST_BYTES and shutil.disk_usage(self.path).free > LEAST_FREE

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error, ValueError) as error:
            raise FileError(
                str(self.path),
                "the cache of firings",
                str(error),
                next_step="delete this file, free space, or set HF_HOME to another folder",
            ) from error


def _key(text: Encoded) -> bytes:
    ids = np.asarray([text.n_left_out, *text.ids], "<i4")
    return hashlib.sha256(ids.tobytes()).digest()


def _columns(found: TextFirings) -> Iterator[bytes]:
    """The columns as bytes, positions and features in 16 bits where they fit."""
    yield found.starts.astype("<i8").tobytes()
    for column in (found.position, found.feature):
        yield column.astype("<u2" if not len(column) or column.max() < 1 << 16 else "<i4").tobytes()
    yield found.activation.astype("<f4").tobytes()


def _read(connection: sqlite3.Connection, key: bytes) -> TextFirings | None:
    row = connection.execute(
        "SELECT starts, position, feature, activation FROM texts WHERE tokens = ?", (key,)
    ).fetchone()
    if row is None:
        return None
    starts, activation = np.frombuffer(row[0], "<i8"), np.frombuffer(row[3], "<f4")
    n = len(activation)
    position, feature = (
        np.frombuffer(column, "<u2" if len(column) == 2 * n else "<i4").astype(np.int32)
        for column in row[1:3]
    )
    if not len(position) == len(feature) == n == starts[-1]:
        raise ValueError("a text has columns of different lengths")
    return TextFirings(starts.astype(np.int64), position, feature, activation.astype(np.float32))
