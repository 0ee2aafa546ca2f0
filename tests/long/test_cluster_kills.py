"""Workers, writers, the command and Neo4j are killed at random moments; nothing is lost or doubled."""

import random
import time
from collections.abc import Callable
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
from schema.upkeep.canonical_dump import Dump, dump
from schema.upkeep.migrations import migrate
from tests.support.loading import Command, assert_sound, count, wait_until
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


@pytest.fixture(scope="module")
def direct(settings: IngestSettings, connection: Database) -> Dump:
    """What an undisturbed ingest in one process stores. The database is empty afterwards."""
    empty(connection)
    ingest(connection, settings, console=Console(file=StringIO()))
    held = dump(connection)
    empty(connection)
    return held


def of_cluster(name: str) -> list[psutil.Process]:
    """The processes of a name in the test's cluster."""
    there = []
    for each in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has just ended
            if "".join(each.cmdline()[:1]).startswith(f"ray::{name}"):
                there.append(each)
    return there


def kill_one(name: str, rng: random.Random) -> bool:
    """Kill a process of the test's cluster. False when none of the name is there."""
    if there := of_cluster(name):
        rng.choice(there).kill()
    return bool(there)


def kill_workers_and_commands(
    asked: list[str],
    server: Address,
    said: Path,
    rng: random.Random,
    *,
    begin_anew: Callable[[], None],
    under_way: Callable[[], bool],
) -> None:
    """Kill `KILLS` workers and as many commands, while there is something and not everything.

    Then let the command end, which must find nothing wrong but the bad lines.
    """
    kills = ["worker", "command"] * KILLS
    rng.shuffle(kills)
    while kills:
        if not under_way():
            begin_anew()
        command = Command(asked, server, said)
        while command.alive and kills:
            time.sleep(rng.uniform(0.5, 4))
            if not (under_way() and of_cluster("AttributionWorker")):  # it starts, or is at its end
                continue
            if kills[-1] == "command":
                kills.pop()
                command.kill()
                command = Command(asked, server, said)
            elif kill_one("AttributionWorker", rng):
                kills.pop()
        command.end()
    # A share whose worker was killed three times has failed by name: the same command completes it.
    ended(asked, server, said)


def ended(asked: list[str], server: Address, said: Path) -> None:
    """Let the command run to its end: it names the bad lines and nothing else."""
    code, text = Command(asked, server, said).end()
    assert (code, text.count("error:")) == (1, len(BAD)), text


def test_killed_workers_and_commands_lose_nothing_in_a_store(
    cluster_address: str,
    settings: IngestSettings,
    direct: Dump,
    server: Address,
    database: Database,
    tmp_path: Path,
) -> None:
    clean, folder = Store(str(tmp_path / "clean")), tmp_path / "killed"
    ingest_to(clean, settings, console=Console(file=StringIO()))
    n_shards = sum(name.endswith(".parquet") for name in clean.names())

    def empty_folder() -> None:
        for each in folder.glob("*"):
            each.unlink()

    kill_workers_and_commands(
        [*cluster_words(settings, cluster_address), "--to", str(folder)],
        server,
        tmp_path / "said",
        random.Random(0),
        begin_anew=empty_folder,
        under_way=lambda: 0 < len(list(folder.glob("*.parquet"))) < n_shards,
    )
    assert Store(str(folder)).names() == clean.names()
    # A name holds the hash of the bytes, which loading compares.
    code, said = Command(["load", str(folder)], server, tmp_path / "said").end()
    assert count(database) == N - len(BAD), (code, said)
    assert_sound(database, direct)


def test_killed_workers_and_commands_double_nothing_in_the_database(
    cluster_address: str,
    settings: IngestSettings,
    direct: Dump,
    server: Address,
    database: Database,
    tmp_path: Path,
) -> None:
    kill_workers_and_commands(
        cluster_words(settings, cluster_address),
        server,
        tmp_path / "said",
        random.Random(3),
        begin_anew=lambda: empty(database),
        under_way=lambda: 0 < count(database) < N - len(BAD),
    )
    assert_sound(database, direct)


def test_killed_writers_double_nothing_in_the_database(
    cluster_address: str,
    settings: IngestSettings,
    direct: Dump,
    server: Address,
    database: Database,
    tmp_path: Path,
) -> None:
    rng, killed = random.Random(1), 0
    while killed < KILLS:
        empty(database)
        command = Command(cluster_words(settings, cluster_address), server, tmp_path / "said")
        while command.alive and killed < KILLS:
            time.sleep(rng.uniform(1, 4))
            killed += kill_one("DatabaseWriter", rng)
        command.end()
    ended(cluster_words(settings, cluster_address), server, tmp_path / "said")
    assert_sound(database, direct)


def test_killed_databases_lose_nothing(
    cluster_address: str, settings: IngestSettings, direct: Dump, tmp_path: Path
) -> None:
    """A writer waits for a database that was killed, or the command ends with an error and is repeated."""
    rng, killed = random.Random(2), 0
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
            ended(cluster_words(settings, cluster_address), address, tmp_path / "said")
            assert_sound(held, direct)
    finally:
        local.stop()
