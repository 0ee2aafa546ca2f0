"""Folders of shards: on the disk, and at the addresses of fsspec."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from schema.errors import FileError, InputError
from schema.shards.folder import find_shards, packed, stored_sizes
from schema.shards.store import Store
from tests.support.circuits import RUN, synthetic_circuits

CIRCUITS = synthetic_circuits(4)


@pytest.fixture(params=["folder", "memory://test-store", "file://"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A folder that does not exist yet."""
    if request.param.startswith("memory"):
        yield request.param
        store = Store(request.param)
        store._files.rm(store._root, recursive=True)
    else:
        yield f"{request.param if '://' in request.param else ''}{tmp_path}/new/shards"


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the rights of root, which may write anywhere."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_files_are_written_found_and_read(address: str) -> None:
    store = Store(address)
    store.create()
    assert store.names() == []
    store.put("b", b"two")
    store.put("a", b"one")
    store.put("b", b"three")
    assert (store.names(), store.read("a"), store.read("b"), store.size("b")) == (
        ["a", "b"],
        b"one",
        b"three",
        5,
    )
    with store.open("b") as file:
        file.seek(2)
        assert file.read() == b"ree"
    store.create()  # again, with files in it
    assert store.names() == ["a", "b"]


@pytest.mark.parametrize("address", ["some/folder", "file://some/folder/", "/some/folder", "memory://some"])
def test_another_process_finds_the_same_folder(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store(address)
    (tmp_path / "other").mkdir()
    monkeypatch.chdir("other")
    same = Store(store.absolute, store.address)
    assert (same._root, type(same._files)) == (store._root, type(store._files))
    assert same.of("a") == store.of("a") == f"{address.rstrip('/')}/a"


def test_shards_are_found_in_order_and_counted(address: str) -> None:
    store = Store(address)
    store.create()
    lines = list(enumerate(CIRCUITS, start=1))
    for part in (lines[2:], lines[:2]):
        for name, data in packed(part, RUN):
            store.put(name, data)
    store.put("failures-00000000.jsonl", b"")
    found = find_shards([address])
    assert [circuit for each in found for circuit in each.read().circuits()] == CIRCUITS
    assert find_shards([each.address for each in found]) != []
    assert [each.name for each in find_shards([found[1].address])] == [found[1].name]
    assert stored_sizes(store) == {each.id: (each.n_active_features, len(each.edges)) for each in CIRCUITS}


def test_many_edges_give_several_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schema.shards.folder.SHARD_EDGES", len(CIRCUITS[0].edges) + len(CIRCUITS[1].edges))
    parts = packed(list(enumerate(CIRCUITS, start=1)), RUN)
    assert len(parts) > 1
    assert [name for name, _ in parts] == sorted(name for name, _ in parts)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent does not exist"):
        find_shards([f"{tmp_path}/absent"])
    with pytest.raises(InputError, match=r"x\.parquet does not exist"):
        find_shards([f"{tmp_path}/x.parquet"])
    with pytest.raises(InputError, match="holds no shards"):
        find_shards([str(tmp_path)])
    with pytest.raises(InputError, match="does not exist"):
        find_shards(["memory://absent"])


def test_a_damaged_shard_stops_a_command_that_would_resume(tmp_path: Path) -> None:
    ((name, data),) = packed([(1, CIRCUITS[0])], RUN)
    for cut in (0, 4, len(data) // 2):
        (tmp_path / name).write_bytes(data[:cut])
        with pytest.raises(FileError, match="delete it and run the command that wrote it again"):
            stored_sizes(Store(str(tmp_path)))


def test_a_store_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Protocol not known: nonsense"):
        Store("nonsense://x")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file/shards"):
        Store(f"{tmp_path}/file/shards").create()
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    # pytest's folders are closed to others, too.
    os.chmod(tmp_path, 0o755)
    with as_nobody(), pytest.raises(InputError, match="permission denied") as refused:
        Store(str(closed)).create()
    assert refused.value.next_step
    assert list(closed.iterdir()) == []


def test_a_package_that_is_missing_is_named() -> None:
    # No environment of the atlas has Dropbox's package.
    with pytest.raises(InputError, match="dropbox") as refused:
        Store("dropbox://folder")
    assert refused.value.next_step == "install the package that it names"
