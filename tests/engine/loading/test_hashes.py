"""Kept hashes: equal to a plain SHA-256 of the files, read once, and again when a file has changed."""

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from ingest.engine.loading import hashes
from ingest.engine.loading.hashes import content_hash, file_set_hash

OLD = time.time_ns() - 60_000_000_000


def write(path: Path, content: bytes, changed_ns: int = OLD) -> Path:
    path.write_bytes(content)
    os.utime(path, ns=(changed_ns, changed_ns))
    return path


def plain(*files: Path) -> str:
    parts = (f"{path.name}\0{path.stat().st_size}\0".encode() + path.read_bytes() for path in files)
    return hashlib.sha256(b"".join(parts)).hexdigest()


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one whenever files are read whole."""
    found: list[int] = []

    def counted(read: Callable[[Sequence[Path]], str]) -> Callable[[Sequence[Path]], str]:
        def count(files: Sequence[Path]) -> str:
            found.append(len(files))
            return read(files)

        return count

    for name in ("_hash_set", "_hash_content"):
        monkeypatch.setattr(hashes, name, counted(getattr(hashes, name)))
    return found


def test_unchanged_files_are_read_once(tmp_path: Path, reads: list[int]) -> None:
    a, b, kept = write(tmp_path / "a", b"one"), write(tmp_path / "b", b"two"), tmp_path / "kept"
    for _ in range(3):
        assert file_set_hash([b, a], kept=kept) == plain(a, b)
        assert content_hash(a, kept=kept) == hashlib.sha256(b"one").hexdigest()
    assert reads == [2, 1]


def test_a_changed_file_is_hashed_again(tmp_path: Path, reads: list[int]) -> None:
    path, kept = write(tmp_path / "a", b"one"), tmp_path / "kept"
    assert file_set_hash([path], kept=kept) == plain(path)
    # Another size; another time of change; another inode.
    write(path, b"three")
    assert file_set_hash([path], kept=kept) == plain(path)
    write(path, b"seven", OLD + 1)
    assert file_set_hash([path], kept=kept) == plain(path)
    write(tmp_path / "b", b"eight", OLD + 1).replace(path)
    assert file_set_hash([path], kept=kept) == plain(path)
    assert len(reads) == 4


def test_a_file_that_was_just_written_may_change_unseen_and_is_not_kept(
    tmp_path: Path, reads: list[int]
) -> None:
    path, now = tmp_path / "a", time.time_ns()
    write(path, b"one", now)
    assert content_hash(path, kept=tmp_path / "kept") == hashlib.sha256(b"one").hexdigest()
    write(path, b"two", now)
    assert content_hash(path, kept=tmp_path / "kept") == hashlib.sha256(b"two").hexdigest()
    assert len(reads) == 2


@pytest.mark.parametrize("content", ["", "{", "[]", '{"files": 3}', '{"sha256": 5, "files": []}'])
def test_a_damaged_entry_is_written_again(tmp_path: Path, content: str, reads: list[int]) -> None:
    path, kept = write(tmp_path / "a", b"one"), tmp_path / "kept"
    file_set_hash([path], kept=kept)
    (entry,) = kept.iterdir()
    entry.write_text(content, encoding="utf-8")
    for _ in range(2):
        assert file_set_hash([path], kept=kept) == plain(path)
    assert len(reads) == 2


def test_without_a_place_to_keep_them_hashes_are_computed(tmp_path: Path, reads: list[int]) -> None:
    path = write(tmp_path / "a", b"one")
    blocked = write(tmp_path / "file", b"") / "kept"
    for _ in range(2):
        assert file_set_hash([path], kept=blocked) == plain(path)
    assert len(reads) == 2
