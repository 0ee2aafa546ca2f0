"""The disk is full in the midst of a command: a clear error, and nothing lost once there is space again."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from rich.console import Console

from atlas.local.server import LocalServer
from ingest.circuits.run import IngestSettings, ingest
from ingest.organism.weights import MODEL_DIR, PROMPTS_PATH, TRANSCODERS_DIR
from schema.database import Database
from schema.errors import AtlasError, DatabaseError
from schema.upkeep.canonical_dump import Dump, dump
from schema.upkeep.check import check
from schema.upkeep.migrations import migrate
from tests.support.cli import Outcome
from tests.support.loading import Loader, assert_sound, count, write_graphs
from tests.support.servers import empty, free_port

N_CIRCUITS = 120
VOLUME_MB = 512
ROOM_MB = 6
"""What is left for a load that takes more; the rest is filled before."""
N_PROMPTS = 12
BALLAST = "ballast"
"""File that fills the volume."""


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own: a file mounted as a disk or, where that is refused, memory."""
    folder, image = tmp_path / "volume", tmp_path / "disk.img"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(VOLUME_MB << 20)
    loop = [["mkfs.ext4", "-q", "-m", "0", str(image)], ["mount", "-o", "loop", str(image), str(folder)]]
    memory = [["mount", "-t", "tmpfs", "-o", f"size={VOLUME_MB}m", "tmpfs", str(folder)]]
    if not any(all(map(done, commands)) for commands in (loop, memory)):
        pytest.skip("DISK FULL WAS NOT TESTED: mounting a small volume takes root; run this as root")
    try:
        yield folder
    finally:
        # Lazily: a database that failed to stop must not leave the volume behind.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def done(command: list[str]) -> bool:
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def test_a_full_disk_is_named_and_the_load_goes_on_later(database, server, volume, tmp_path):
    graphs = write_graphs(tmp_path / "graphs", N_CIRCUITS)
    status, said = Loader(graphs, server, tmp_path / "clean.txt").end()
    assert status == 0, said
    clean = dump(database)
    empty(database)

    local = LocalServer(volume / "home")
    ports = {"bolt_port": free_port(), "http_port": free_port()}
    try:
        address = local.start(**ports, heap_mb=512)
        with Database.connect(address.bolt_uri, address.user, address.password) as connected:
            migrate(connected)
            ballast = volume / BALLAST
            fill(volume, ballast, ROOM_MB << 20)
            status, said = Loader(graphs, address, tmp_path / "said.txt").end()
            sys.stderr.write(said)
            assert status == 1
            assert "disk" in said
            assert "→" in said
        ballast.unlink()
        with local.at_rest():
            pass
        status, said = Loader(graphs, address, tmp_path / "said.txt").end()
        assert status == 0, said
        with Database.connect(address.bolt_uri, address.user, address.password) as connected:
            assert count(connected) == N_CIRCUITS
            assert_sound(connected, clean)
    finally:
        local.stop()


@pytest.fixture
def ports() -> dict[str, int]:
    return {"bolt_port": free_port(), "http_port": free_port()}


@pytest.fixture
def filled(volume: Path, tmp_path: Path, ports: dict[str, int]) -> Iterator[LocalServer]:
    """A running database on the small volume, with circuits of bundled prompts."""
    local = LocalServer(volume / "home")
    try:
        address = local.start(**ports, heap_mb=512)
        lines = PROMPTS_PATH.read_text(encoding="utf-8").splitlines()[:N_PROMPTS]
        (tmp_path / "prompts.jsonl").write_text("\n".join(lines), encoding="utf-8")
        with Database.connect(address.bolt_uri, address.user, address.password) as database:
            migrate(database)
            settings = IngestSettings(tmp_path / "prompts.jsonl", MODEL_DIR, TRANSCODERS_DIR)
            assert ingest(database, settings, console=Console(stderr=True)).problems == []
        yield local
    finally:
        (volume / BALLAST).unlink(missing_ok=True)  # a database without room does not stop
        local.stop()


def content(local: LocalServer) -> Dump:
    address = local.status().address
    assert address is not None
    with Database.connect(address.bolt_uri, address.user, address.password) as database:
        assert list(check(database)) == []
        return dump(database)


def test_a_full_disk_while_features_are_labelled_and_grouped(
    filled, volume, cli_without_database, ports, tmp_path
):
    """And nothing is lost by a backup to the full disk, or of a database on it."""
    corpus = ("--corpus", tmp_path / "prompts.jsonl")
    commands = {"label": ["label", *corpus], "supernodes": ["supernodes", *corpus]}
    before, ballast, refused = tmp_path / "before.dump", volume / BALLAST, []

    def atlas(*words: object) -> Outcome:
        return cli_without_database(*map(str, words), ATLAS_HOME=str(filled.home))

    assert atlas("backup", before).exit_code == 0
    contents = []
    for name in commands:
        assert atlas(*commands[name]).exit_code == 0
        contents.append(content(filled))
    assert contents[0] != contents[1]
    for name in commands:
        assert atlas("restore", before, "--replace").exit_code == 0
        if name == "supernodes":
            assert atlas(*commands["label"]).exit_code == 0
        fill(volume, ballast)
        done = atlas(*commands[name])
        if done.exit_code:  # a little fits into what Neo4j has reserved
            assert isinstance(done.error, DatabaseError), done.text
            assert "disk" in str(done.error)
            refused.append(name)
        ballast.unlink()
        with filled.at_rest():
            pass
        assert atlas(*commands[name]).exit_code == 0
        assert content(filled) == contents[list(commands).index(name)]
    assert refused, "nothing was tested: all writes fitted into reserved space"

    fill(volume, ballast)
    done = atlas("backup", volume / "after.dump")
    assert isinstance(done.error, AtlasError), done.text
    assert "space" in str(done.error)
    assert not list(volume.glob("after.dump*"))
    assert filled.status().running  # it was not stopped, because it had no room for that
    ballast.unlink()
    assert content(filled) == contents[-1]
    assert atlas("backup", tmp_path / "after.dump").exit_code == 0
    assert atlas("restore", tmp_path / "after.dump", "--replace").exit_code == 0
    assert content(filled) == contents[-1]


def fill(volume: Path, ballast: Path, room: int = 0) -> None:
    """Leave this many bytes free."""
    space = os.statvfs(volume)
    left = space.f_bavail * space.f_frsize - room
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while left > 0:
            left -= file.write(bytes(min(left, 1 << 20)))
