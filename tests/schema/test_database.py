"""The border to the driver: rows out, our own errors out, cancelled queries stopped."""

import asyncio
import gc
import time
import warnings

import pytest

from atlas.local.server import Address
from schema.database import AsyncDatabase, Database
from schema.errors import (
    CredentialsError,
    DatabaseError,
    InputError,
    QueryMemoryError,
    QueryTimeoutError,
    UnreachableError,
)
from tests.support.servers import free_port

SLOW = "UNWIND range(1, 1000000) AS a UNWIND range(1, 1000000) AS b RETURN count(*) AS slow_one"


def test_rows_are_dicts(database: Database):
    assert database.write(
        "CREATE (n:Tag {name: $name}) RETURN n.name AS name, 1 AS one", {"name": "é\0'`"}
    ) == [{"name": "é\0'`", "one": 1}]
    assert database.read("MATCH (n:Tag) RETURN n.name AS name, $x AS x", {"x": [1, None]}) == [
        {"name": "é\0'`", "x": [1, None]}
    ]


async def test_rows_are_dicts_async(database: Database, async_database: AsyncDatabase):
    database.write("CREATE (:Tag {name: 'a'})")
    assert await async_database.read("MATCH (n:Tag) RETURN n.name AS name") == [{"name": "a"}]


def test_a_read_cannot_write(database: Database):
    with pytest.raises(DatabaseError, match="Neo4j refused: Writing in read access mode not allowed"):
        database.read("CREATE (:Tag {name: 'a'})")


def test_work_that_raises_leaves_nothing(database: Database):
    def work(transaction):
        transaction.run("CREATE (:Tag {name: 'a'})")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        database.transaction(work)
    assert database.read("MATCH (n:Tag) RETURN n") == []


def test_a_query_that_is_no_query(database: Database):
    with pytest.raises(
        DatabaseError, match=r"(?s)Neo4j refused: .*\(Neo.ClientError.Statement.SyntaxError\)"
    ):
        database.read("GIVE ME EVERYTHING")


@pytest.mark.parametrize("value", [2**63, "\ud800"])
def test_a_value_that_cannot_be_stored(database: Database, value: object):
    with pytest.raises(InputError, match="A value cannot be stored in Neo4j"):
        database.read("RETURN $value", {"value": value})
    assert database.read("RETURN 1 AS one") == [{"one": 1}], "the connection goes on"


def test_a_slow_read_is_stopped(database: Database):
    with pytest.raises(QueryTimeoutError, match=r"exceeded its limit of 0\.2 s") as caught:
        database.read(SLOW, timeout_s=0.2)
    assert caught.value.next_step == "ask for less at once"


async def test_a_slow_async_read_is_stopped(async_database: AsyncDatabase):
    with pytest.raises(QueryTimeoutError):
        await async_database.read(SLOW, timeout_s=0.2)


async def test_a_cancelled_read_ends_in_the_database(database: Database, async_database: AsyncDatabase):
    task = asyncio.create_task(async_database.read(SLOW))
    await _until(lambda: _running(database) == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _until(lambda: _running(database) == 0)
    assert await async_database.read("RETURN 1 AS one") == [{"one": 1}], "the pool goes on"


async def test_a_read_cancelled_at_any_moment_leaves_no_connection_open(server: Address):
    """The first reads open a connection each, which takes a few milliseconds."""
    for wait_s in (0.0, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016):
        async with await AsyncDatabase.connect(server.bolt_uri, server.user, server.password) as database:
            reads = [asyncio.create_task(database.read("RETURN 1 AS one")) for _ in range(5)]
            await asyncio.sleep(wait_s)
            for read in reads:
                read.cancel()
            await asyncio.gather(*reads, return_exceptions=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gc.collect()
    assert [str(each.message) for each in caught] == []


def test_wrong_password(server: Address):
    with pytest.raises(CredentialsError, match="refused the user name or password") as caught:
        Database.connect(server.bolt_uri, server.user, "wrong")
    assert "NEO4J_PASSWORD" in (caught.value.next_step or "")


async def test_wrong_password_async(server: Address):
    with pytest.raises(CredentialsError):
        await AsyncDatabase.connect(server.bolt_uri, server.user, "wrong")


def test_nobody_there():
    with pytest.raises(UnreachableError, match=r"No Neo4j answers at bolt://127\.0\.0\.1:") as caught:
        Database.connect(f"bolt://127.0.0.1:{free_port()}", "neo4j", "x")
    assert "atlas db start" in (caught.value.next_step or "")


async def test_nobody_there_async():
    with pytest.raises(UnreachableError):
        await AsyncDatabase.connect(f"bolt://127.0.0.1:{free_port()}", "neo4j", "x")


@pytest.mark.parametrize("uri", ["http://127.0.0.1", "somewhere", ""])
def test_an_address_that_is_none(uri: str):
    with pytest.raises(InputError, match="is not an address of a Neo4j"):
        Database.connect(uri, "neo4j", "x")


def _running(database: Database) -> int:
    rows = database.read("SHOW TRANSACTIONS YIELD currentQuery RETURN currentQuery AS query")
    return sum("slow_one" in row["query"] for row in rows)


async def _until(true, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not await asyncio.to_thread(true):
        assert time.monotonic() < end, "in vain"
        await asyncio.sleep(0.05)


async def test_queries_that_need_too_much_memory_say_what_to_do(async_database: AsyncDatabase):
    """Beside each other, they reach the limit of a transaction or the end of the heap, as it happens."""
    query = "UNWIND range(1, 1000000000) AS n RETURN collect([n, n])"
    asked = [async_database.read(query) for _ in range(4)]
    for error in await asyncio.gather(*asked, return_exceptions=True):
        assert isinstance(error, QueryMemoryError)
        assert "too little memory" in str(error)
        assert "--heap" in str(error)
    assert await async_database.read("RETURN 1 AS one") == [{"one": 1}]
