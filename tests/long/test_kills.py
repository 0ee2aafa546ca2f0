"""SIGKILL of the loader at fifty random moments, and of Neo4j in the midst of a load."""

import random
import signal
import time
from pathlib import Path

import psutil
import pytest

from atlas.local.server import LocalServer
from schema.counted import counted
from schema.database import Database
from schema.loading.load import GROUP_CIRCUITS
from schema.upkeep.canonical_dump import dump
from schema.upkeep.migrations import migrate
from tests.support.loading import Loader, assert_sound, count, wait_until, write_graphs
from tests.support.servers import empty, free_port

N_CIRCUITS = 12 * GROUP_CIRCUITS
N_KILLS = 50


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_graphs(tmp_path_factory.mktemp("kills") / "graphs", N_CIRCUITS)


def test_the_loader_killed_fifty_times(database, server, graphs, tmp_path):
    clean = content_of_a_clean_load(database, server, graphs, tmp_path)
    rng = random.Random(5)
    killed_in_time = 0
    # Moments spread over the load: some while it starts or reads, most in the midst of a group.
    # The last third can be loaded before the longest wait is over.
    for target in sorted(rng.choices(range(2 * N_CIRCUITS // 3), k=N_KILLS)):
        loader = Loader(graphs, server, tmp_path / "said.txt")
        while count(database) < target and loader.alive:
            time.sleep(0.01)
        time.sleep(rng.random() * 0.2)
        killed_in_time += loader.alive
        loader.kill()
    assert killed_in_time == N_KILLS
    killed = count(database)
    assert 0 < killed < N_CIRCUITS
    status, said = Loader(graphs, server, tmp_path / "said.txt").end()
    assert status == 0, said
    there = counted(killed, "was", "were")
    assert f"{counted(N_CIRCUITS - killed, 'circuit')} imported, {there} there already" in said
    assert_sound(database, clean)


def test_neo4j_killed_while_it_loads(database, server, graphs, tmp_path):
    """Twice the loader waits for it and goes on by itself; once both are killed, as in a power cut."""
    clean = content_of_a_clean_load(database, server, graphs, tmp_path)
    local = LocalServer(tmp_path / "home")
    ports = {"bolt_port": free_port(), "http_port": free_port()}
    try:
        address = local.start(**ports, heap_mb=512)

        def loaded() -> int:
            with Database.connect(address.bolt_uri, address.user, address.password) as connected:
                return count(connected)

        def kill_server_at(target: int, loader: Loader) -> None:
            wait_until(lambda: loaded() >= target or not loader.alive, f"{target} circuits are loaded")
            assert loader.alive
            pid = local.status().pid
            assert pid is not None
            psutil.Process(pid).send_signal(signal.SIGKILL)
            wait_until(lambda: not local.status().running, "Neo4j is dead")

        with Database.connect(address.bolt_uri, address.user, address.password) as connected:
            migrate(connected)
        loader = Loader(graphs, address, tmp_path / "said.txt")
        for target in (N_CIRCUITS // 5, N_CIRCUITS // 2):
            kill_server_at(target, loader)
            local.start(**ports, heap_mb=512)
        kill_server_at(3 * N_CIRCUITS // 4, loader)
        loader.kill()
        local.start(**ports, heap_mb=512)
        killed = loaded()
        assert 3 * N_CIRCUITS // 4 <= killed < N_CIRCUITS
        status, said = Loader(graphs, address, tmp_path / "said.txt").end()
        assert status == 0, said
        with Database.connect(address.bolt_uri, address.user, address.password) as connected:
            assert_sound(connected, clean)
    finally:
        local.stop()


def content_of_a_clean_load(database, server, graphs, tmp_path):
    """Load once undisturbed; the database is empty again afterwards."""
    status, said = Loader(graphs, server, tmp_path / "clean.txt").end()
    assert status == 0, said
    found = dump(database)
    empty(database)
    return found
