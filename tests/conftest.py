"""One real Neo4j for the whole test session; a test that asks for `database` finds it empty and migrated."""

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from atlas.local.server import Address, LocalServer
from schema.database import AsyncDatabase, Database
from schema.upkeep.migrations import migrate
from tests.support.servers import empty, free_port

os.environ.setdefault("OMP_NUM_THREADS", "1")
"""Tests run side by side. Threads that wait for each other on busy cores take up to 20 times as long."""

_CACHE = tempfile.TemporaryDirectory(prefix="circuit-atlas-")
os.environ["HF_ASSETS_CACHE"] = _CACHE.name
"""Hashes and converted models of tests do not go into the cache of whoever runs them."""

pytest_plugins = (
    "tests.support.api",
    "tests.support.browser",
    "tests.support.checkpoint_history",
    "tests.support.cli",
    "tests.support.cluster",
    "tests.support.tiny_atlas",
    "tests.support.tiny_shards",
    "tests.support.writing",
)
"""Fixtures that any test may ask for."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores, at most 4: two workers left two cores idle for a third of the time."""
    return min(4, (os.cpu_count() or 1) + 1)


SERVER_SETTINGS = {"dbms.cypher.min_replan_interval": "1h"}
"""Planning is most of the server's work here. Tests empty and fill the database all the time, and whenever
its size has changed much, Neo4j would plan a query again that it planned ten seconds ago or earlier."""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """The address of a running server; the same one for all tests of the session."""
    home: Path = tmp_path_factory.mktemp("neo4j")
    local = LocalServer(home, SERVER_SETTINGS)
    try:
        yield local.start(bolt_port=free_port(), http_port=free_port(), heap_mb=512)
    finally:
        local.stop()


@pytest.fixture(scope="session")
def connection(server: Address) -> Iterator[Database]:
    """A migrated database, as other tests left it: for tests of the schema only."""
    with Database.connect(server.bolt_uri, server.user, server.password) as connected:
        migrate(connected)
        yield connected


@pytest.fixture
def database(connection: Database) -> Database:
    """A migrated, empty database."""
    empty(connection)
    return connection


@pytest.fixture
async def async_database(server: Address, database: Database) -> AsyncIterator[AsyncDatabase]:
    """The asynchronous side of `database`; ask for both to write first and read then."""
    connected = await AsyncDatabase.connect(server.bolt_uri, server.user, server.password)
    try:
        yield connected
    finally:
        await connected.close()
