"""Files that get their name only when they are complete."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file, which is renamed to `path` when the block ends without an error.

    The temporary file is beside `path`. After an error the file is removed. A process that is killed leaves
    at most `NAME.part`. A device or a pipe is written to directly.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    part = path.with_name(f"{path.name}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
