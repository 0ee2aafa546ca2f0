"""Workers, writers, the command and Neo4j are killed at random moments; nothing is lost or doubled."""

import random
import time
from contextlib import suppress
from io import StringIO
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from atlas.local.server import Address, LocalServer
from ingest.circuits.run import IngestSettings, ingest
from ingest.circuits.shards import ingest_to
from schema.database import Database
from schema.shards.store import Store
from schema.upkeep.canonical_dump import dump
from schema.upkeep.check import check
from schema.upkeep.migrations import migrate
from tests.support.loading import Command, wait_until
from tests.support.prompts import BAD
from tests.support.servers import empty, free_port
from tests.support.tiny_shards import cluster_words, write_tiny_ingest

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
N = 640
KILLS = 10
"""Of each kind of process."""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> IngestSettings:
    return write_tiny_ingest(tmp_path_factory.mktemp("tiny"), N)


def kill_one(name: str, rng: random.Random) -> bool:
    """Kill a process of the test's cluster. False when none of the name is there."""
    there = []
    for each in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has just ended
            if "".join(each.cmdline()[:1]).startswith(f"ray::{name}"):
                there.append(each)
    if there:
        rng.choice(there).kill()
    return bool(there)


def test_killed_workers_and_drivers_lose_nothing_in_a_store(
    cluster_address: str, settings: IngestSettings, server: Address, tmp_path: Path
) -> None:
    clean, folder, rng = tmp_path / "clean", tmp_path / "killed", random.Random(0)
    ingest_to(Store(str(clean)), settings, console=Console(file=StringIO()))
    asked = [*cluster_words(settings, cluster_address), "--to", str(folder)]
    kills = ["worker", "driver"] * KILLS
    rng.shuffle(kills)
    while kills:
        for each in folder.glob("*"):  # begin anew, so that all kills come during work
            each.unlink()
        command = Command(asked, server, tmp_path / "said")
        while command.alive and kills:
            time.sleep(rng.uniform(1, 8))
            if not any(folder.glob("*.parquet")):  # the work has not begun
                continue
            if kills[-1] == "driver":
                kills.pop()
                command.kill()
                command = Command(asked, server, tmp_path / "said")
            elif kill_one("AttributionWorker", rng):
                kills.pop()
        command.end()
    # A share whose worker was killed three times has failed by name: the same command completes it.
    code, said = Command(asked, server, tmp_path / "said").end()
    assert (code, said.count("error:")) == (1, len(BAD)), said
    assert Store(str(folder)).names() == Store(str(clean)).names()


def test_killed_writers_double_nothing_in_the_database(
    cluster_address: str, settings: IngestSettings, server: Address, database: Database, tmp_path: Path
) -> None:
    ingest(database, settings, console=Console(file=StringIO()))
    direct, rng = dump(database), random.Random(1)
    killed = 0
    while killed < KILLS:
        empty(database)
        command = Command(cluster_words(settings, cluster_address), server, tmp_path / "said")
        while command.alive and killed < KILLS:
            time.sleep(rng.uniform(1, 4))
            killed += kill_one("DatabaseWriter", rng)
        command.end()
    code, said = Command(cluster_words(settings, cluster_address), server, tmp_path / "said").end()
    assert (code, said.count("error:")) == (1, len(BAD)), said
    held = dump(database)
    assert held["Circuit"] == direct["Circuit"]
    assert held["ATTRIBUTES"] == direct["ATTRIBUTES"]
    assert list(check(database)) == []


def test_killed_databases_lose_nothing(
    cluster_address: str, settings: IngestSettings, database: Database, server: Address, tmp_path: Path
) -> None:
    """A writer waits for a database that was killed, or the command ends with an error and is repeated."""
    ingest(database, settings, console=Console(file=StringIO()))
    direct, rng, killed = dump(database), random.Random(2), 0
    local, ports = LocalServer(tmp_path / "home"), {"bolt_port": free_port(), "http_port": free_port()}
    try:
        address = local.start(**ports, heap_mb=512)
        with Database.connect(address.bolt_uri, address.user, address.password) as held:
            migrate(held)
            while killed < KILLS:
                empty(held)
                command = Command(cluster_words(settings, cluster_address), address, tmp_path / "said")
                while killed < KILLS and command.alive:
                    time.sleep(rng.uniform(1, 10))
                    pid = local.status().pid
                    if not command.alive or pid is None:
                        break
                    psutil.Process(pid).kill()
                    killed += 1
                    wait_until(lambda: not local.status().running, "Neo4j is dead")
                    local.start(**ports, heap_mb=512)
                command.end()
            code, said = Command(cluster_words(settings, cluster_address), address, tmp_path / "said").end()
            assert (code, said.count("error:")) == (1, len(BAD)), said
            found = dump(held)
            assert found["Circuit"] == direct["Circuit"]
            assert found["ATTRIBUTES"] == direct["ATTRIBUTES"]
            assert list(check(held)) == []
    finally:
        local.stop()
