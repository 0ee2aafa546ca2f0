"""SIGKILL of the migrating command, and of Neo4j, at random moments of a migration from the first version."""

import random
import signal
import time
from pathlib import Path

import psutil

from atlas.local.server import LocalServer
from schema.database import Database
from schema.upkeep.canonical_dump import dump
from schema.upkeep.migrations import MIGRATIONS
from tests.support import version_1
from tests.support.loading import Command, Loader, assert_sound, wait_until, write_graphs
from tests.support.servers import free_port

N_CIRCUITS = 60
ROUNDS = 8
KILLS = 3
"""Kills in each round. In every second round they hit Neo4j, and else the command."""


def test_a_migration_killed_at_random_moments_is_finished_by_the_next_command(tmp_path: Path):
    local = LocalServer(tmp_path / "home")
    ports = {"bolt_port": free_port(), "http_port": free_port()}
    said, rng = tmp_path / "said.txt", random.Random(24)
    try:
        address = local.start(**ports, heap_mb=512)

        def connect() -> Database:
            return Database.connect(address.bolt_uri, address.user, address.password)

        def migrate() -> Command:
            return Command(["stats"], address, said)

        def kill_server() -> None:
            pid = local.status().pid
            assert pid is not None
            psutil.Process(pid).send_signal(signal.SIGKILL)
            wait_until(lambda: not local.status().running, "Neo4j is dead")

        status, words = Loader(write_graphs(tmp_path / "graphs", N_CIRCUITS), address, said).end()
        assert status == 0, words
        with connect() as database:
            version_1.bring_back(database)
        begun = time.monotonic()
        status, words = migrate().end()
        seconds = time.monotonic() - begun
        assert status == 0, words
        with connect() as database:
            clean = dump(database)
        in_time = 0
        for number in range(ROUNDS):
            with connect() as database:
                version_1.bring_back(database)
            for _ in range(KILLS):
                command = migrate()
                time.sleep(rng.uniform(0.0, 0.8) * seconds)
                in_time += command.alive
                if number % 2:
                    kill_server()
                command.kill()
                if number % 2:
                    local.start(**ports, heap_mb=512)
            status, words = migrate().end()
            assert status == 0, words
            with connect() as database:
                assert database.read("MATCH (m:Migration) RETURN count(m) AS n") == [{"n": len(MIGRATIONS)}]
                assert_sound(database, clean)
        assert in_time >= ROUNDS  # the first kill of each round, at least
    finally:
        local.stop()
