"""The disk is full in the midst of a load: a clear error, and nothing lost once there is space again."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from atlas.local.server import LocalServer
from schema.database import Database
from schema.upkeep.canonical_dump import dump
from schema.upkeep.migrations import migrate
from tests.support.loading import Loader, assert_sound, count, write_graphs
from tests.support.servers import empty, free_port

N_CIRCUITS = 120
VOLUME_MB = 512
ROOM_MB = 6
"""What is left for a load that takes more; the rest is filled before."""


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
            ballast = volume / "ballast"
            fill(volume, ballast)
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


def fill(volume: Path, ballast: Path) -> None:
    """Leave ROOM_MB free."""
    space = os.statvfs(volume)
    size = space.f_bavail * space.f_frsize - (ROOM_MB << 20)
    with ballast.open("wb") as file:
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))
