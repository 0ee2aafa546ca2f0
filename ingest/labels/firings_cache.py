"""Firings of texts on disk, so that one pass over a corpus serves `examples`, `label` and `supernodes`.

There is one SQLite file for each model, transcoder set and number format, which are known by hashes of their
files. A text is known by a hash of its tokens. Values are kept as they were computed, so that repeated
commands give the same answers. A file that reached `MOST_BYTES` takes no further texts; those are computed
each time. Any file may be deleted.
"""

import hashlib
import shutil
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
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

Compute = Callable[[ReplacementModel, Iterable[list[Encoded]]], Iterator[list[TextFirings]]]
"""Gives the firings of each text, for one list of texts after the other. It may draw some lists ahead of the
one whose firings it gives next. A list may be empty."""
PackedFirings = tuple[bytes, bytes, bytes, bytes]
"""`TextFirings` as bytes: starts, positions, features and activations."""


def in_this_process(model: ReplacementModel, lists: Iterable[list[Encoded]]) -> Iterator[list[TextFirings]]:
    """Compute firings with the model that this process holds. Raises the errors of `firings`."""
    for texts in lists:
        yield list(firings(model, texts))


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

    def firings(
        self, model: ReplacementModel, parts: Iterable[list[Encoded]], compute: Compute = in_this_process
    ) -> Iterator[tuple[list[Encoded], list[TextFirings]]]:
        """Each part of the texts with the firings of each text: from the file, else computed and stored.

        A part has as many texts as memory holds. Its texts that the file lacks are computed together
        and stored in one transaction, in the order of the parts. Raises FileError, and the errors of
        `compute`.
        """
        drawn: deque[tuple[list[Encoded], list[Encoded]]] = deque()

        def missing() -> Iterator[list[Encoded]]:
            for part in parts:
                drawn.append((part, self._missing(part)))
                yield drawn[-1][1]

        for computed in compute(model, missing()):
            part, texts = drawn.popleft()
            yield part, self._completed(part, dict(zip(map(_key, texts), computed, strict=True)))

    def _missing(self, texts: Sequence[Encoded]) -> list[Encoded]:
        """The texts that the file lacks, each once."""
        wanted = {_key(text): text for text in texts}
        with self._readable(), closing(self._connect()) as connection:
            return [text for key, text in wanted.items() if not _has(connection, key)]

    def _completed(self, texts: Sequence[Encoded], new: dict[bytes, TextFirings]) -> list[TextFirings]:
        """The firings of each text, of which some are new. These are stored."""
        with self._readable(), closing(self._connect()) as connection:
            if new and self._has_room():
                with connection:
                    connection.executemany(
                        "INSERT OR IGNORE INTO texts VALUES (?, ?, ?, ?, ?)",
                        ((key, *packed(each)) for key, each in new.items()),
                    )
            return [new[key] if key in new else _read(connection, key) for key in map(_key, texts)]

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


def packed(found: TextFirings) -> PackedFirings:
    """The columns as bytes, positions and features in 16 bits where they fit."""
    position, feature = (
        column.astype("<u2" if not len(column) or column.max() < 1 << 16 else "<i4").tobytes()
        for column in (found.position, found.feature)
    )
    return found.starts.astype("<i8").tobytes(), position, feature, found.activation.astype("<f4").tobytes()


def _has(connection: sqlite3.Connection, key: bytes) -> bool:
    return connection.execute("SELECT 1 FROM texts WHERE tokens = ?", (key,)).fetchone() is not None


def _read(connection: sqlite3.Connection, key: bytes) -> TextFirings:
    row = connection.execute(
        "SELECT starts, position, feature, activation FROM texts WHERE tokens = ?", (key,)
    ).fetchone()
    if row is None:
        raise ValueError("a text that was there is gone")
    return unpacked(row)


def unpacked(row: PackedFirings) -> TextFirings:
    """What `packed` packed. Raises ValueError when the columns do not fit together."""
    starts, activation = np.frombuffer(row[0], "<i8"), np.frombuffer(row[3], "<f4")
    n = len(activation)
    position, feature = (
        np.frombuffer(column, "<u2" if len(column) == 2 * n else "<i4").astype(np.int32)
        for column in row[1:3]
    )
    if not len(position) == len(feature) == n == starts[-1]:
        raise ValueError("a text has columns of different lengths")
    return TextFirings(starts.astype(np.int64), position, feature, activation.astype(np.float32))
