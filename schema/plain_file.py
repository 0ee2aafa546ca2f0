"""Reads files that others wrote: plain files only, and gzip files that unpack to a bounded size."""

import errno
import gzip
import os
import stat
from pathlib import Path
from typing import BinaryIO

GZIP = b"\x1f\x8b"
"""The first bytes of a gzip file."""
UNPACKED_LEAST = 64 << 20
"""Size in bytes to which every gzip file may unpack."""
UNPACKED_RATIO = 100
"""A larger file may unpack to this many times its size. Graph files shrink to a tenth, or a thirtieth."""


def open_plain(path: Path) -> BinaryIO:
    """Open a plain file. Raises OSError for a pipe, a device, a socket or a folder, without waiting."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "it is no plain file", str(path))
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def unpacked_limit(file: BinaryIO, limit: int) -> int:
    """The size in bytes to which an open gzip file may unpack, at most `limit`."""
    return min(limit, max(UNPACKED_LEAST, UNPACKED_RATIO * os.fstat(file.fileno()).st_size))


def read_unpacked(path: Path, limit: int) -> bytes:
    """The content of a plain file, unpacked when it is a gzip file.

    limit: largest size in bytes. Raises TooLargeError, or OSError, EOFError and zlib.error when the file
    cannot be read.
    """
    with open_plain(path) as file:
        if os.fstat(file.fileno()).st_size > limit:
            raise TooLargeError(f"has more than {limit >> 20} MB")
        # The file may grow meanwhile.
        data = file.read(limit + 1)
        if data[:2] != GZIP:
            if len(data) > limit:
                raise TooLargeError(f"has more than {limit >> 20} MB")
            return data
        limit = unpacked_limit(file, limit)
        file.seek(0)
        with gzip.GzipFile(fileobj=file) as packed:
            data = packed.read(limit + 1)
    if len(data) > limit:
        raise TooLargeError(f"unpacks to more than {limit >> 20} MB")
    return data


class TooLargeError(Exception):
    """A file has more bytes than its reader accepts. The message says how many, without the file's name."""
