"""A folder at a local path or at an address of fsspec, such as `s3://bucket/folder`.

Its files appear whole. A local file is written under a temporary name and renamed. An object store shows an
object only when all of it has arrived. On other stores the file is written beside its place and moved.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import fsspec
from fsspec.implementations.local import LocalFileSystem

from schema.atomic_file import atomic_write
from schema.errors import InputError

WHOLE = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss", "hf", "memory"}
"""Protocols whose stores show an object only when it is complete."""
EXTRAS = {"s3": "s3", "s3a": "s3"}
"""Protocol → the extra of the atlas that brings its package."""


class Store:
    """One folder. Every error is an InputError that names the file and what to do."""

    def __init__(self, address: str, called: str | None = None) -> None:
        """Raises InputError for an address of an unknown kind, or one whose package is not installed.

        called: what messages say in place of the address.
        """
        self.address = called or address.rstrip("/") or address
        if "://" not in address:
            self._files: Any = LocalFileSystem()
            self._root = str(Path(address).absolute()).rstrip("/")
            return
        protocol = address.partition("://")[0]
        try:
            self._files, root = fsspec.url_to_fs(address)
        except ImportError as error:
            extra = EXTRAS.get(protocol)
            step = f'pip install "circuit-atlas[{extra}]"' if extra else "install the package that it names"
            raise InputError(f"{address}: {error}", next_step=step) from error
        except ValueError as error:
            raise InputError(
                f"{address}: {error}",
                next_step="name a local folder, or an address such as s3://bucket/folder",
            ) from error
        self._root = root.rstrip("/")

    def __str__(self) -> str:
        return self.address

    @property
    def absolute(self) -> str:
        """The address for a process that runs in another folder."""
        return (self._root or "/") if isinstance(self._files, LocalFileSystem) else self.address

    def of(self, name: str) -> str:
        """The address of a file of the folder, for people."""
        return f"{self.address}/{name}"

    def create(self) -> None:
        """Make the folder when it is missing, and try whether files can be written to it."""
        probe = f"probe-{uuid4().hex}"
        with self._named(self.address, "make the folder, or name one that you may write to"):
            self._files.makedirs(self._root, exist_ok=True)
        self.put(probe, b"")
        self.delete(probe)

    def names(self) -> list[str]:
        """The names of the files in the folder, sorted. Raises InputError when there is no such folder."""
        step = "name the folder that `atlas ingest --to` wrote"
        with self._named(self.address, step):
            self._files.invalidate_cache()
            found = self._files.ls(self._root, detail=True)
        names = [each["name"].rstrip("/").rpartition("/")[2] for each in found if each["type"] == "file"]
        return sorted(names)

    def size(self, name: str) -> int:
        """Size of a file in bytes."""
        with self._named(self.of(name), "look whether the file is still there"):
            return int(self._files.size(self._path(name)))

    def read(self, name: str) -> bytes:
        """The content of a file."""
        with self._named(self.of(name), "look whether the file is still there and may be read"):
            return bytes(self._files.cat_file(self._path(name)))

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """A file to read parts of."""
        with self._named(self.of(name), "look whether the file is still there and may be read"):
            file = self._files.open(self._path(name), "rb")
        with file:
            yield file

    def put(self, name: str, data: bytes) -> None:
        """Write a file: it appears whole, or not at all."""
        path = self._path(name)
        with self._named(self.of(name), "allow files to be written there, or free some space"):
            if isinstance(self._files, LocalFileSystem):
                with atomic_write(Path(path)) as part:
                    part.write_bytes(data)
            elif WHOLE.intersection(_protocols(self._files)):
                self._files.pipe_file(path, data)
            else:
                part_path = f"{path}.{uuid4().hex}.part"
                self._files.pipe_file(part_path, data)
                self._files.mv(part_path, path)

    def delete(self, name: str) -> None:
        """Delete a file."""
        with self._named(self.of(name), "allow files to be deleted there"):
            self._files.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextmanager
    def _named(self, what: str, step: str) -> Iterator[None]:
        """Translate the errors of stores. Packages of stores have errors of their own, too."""
        try:
            yield
        except FileNotFoundError as error:
            raise InputError(f"{what} does not exist", next_step=step) from error
        except PermissionError as error:
            raise InputError(f"{what}: permission denied", next_step=step) from error
        except OSError as error:
            raise InputError(f"{what}: {error.strerror or error}", next_step=step) from error
        except Exception as error:
            if isinstance(self._files, LocalFileSystem):
                raise
            raise InputError(f"{what}: {error}", next_step=step) from error


def _protocols(files: Any) -> tuple[str, ...]:
    found = files.protocol
    return (found,) if isinstance(found, str) else tuple(found)
