"""Finds pipes, devices and sockets among files that are about to be read: reading one may never end."""

from collections.abc import Iterable
from pathlib import Path


def not_plain(files: Iterable[Path]) -> Path | None:
    """The first that is neither a plain file nor a folder; None when there is none. Links are followed."""
    return next((path for path in files if path.exists() and not path.is_file() and not path.is_dir()), None)
