"""Connections to Neo4j: the only file that touches the driver. Its errors leave here as `schema.errors`.

`Database` is for commands and ingest, `AsyncDatabase` for the API (it reads only). Values travel as
parameters; query text is always a literal of ours.
"""

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

import neo4j
from neo4j import AsyncDriver, AsyncGraphDatabase, Driver, GraphDatabase, unit_of_work
from neo4j.exceptions import ConfigurationError, DriverError, Neo4jError, ServiceUnavailable, SessionExpired

from schema.errors import (
    CredentialsError,
    DatabaseError,
    InputError,
    QueryMemoryError,
    QueryTimeoutError,
    UnreachableError,
)

T = TypeVar("T")
Parameters = Mapping[str, Any] | None
Rows = list[dict[str, Any]]

CONNECT_S = 5.0
LATE_S = 10.0
"""How long past its limit an answer is waited for: then the server is taken to be gone."""
STREAMED_ROWS = 8
"""Rows that the driver asks for at a time when a query is streamed."""
_ADDRESS = re.compile(r"(bolt|neo4j)(\+s|\+ssc)?://.")
_ADDRESS_NEXT = "write it as bolt://host:7687 or neo4j+s://host"
# The driver tells its logger of every retry; who wants to read that adds a handler.
logging.getLogger("neo4j").addHandler(logging.NullHandler())
CONNECTIONS = 100
"""Connections of one pool, at most. A download holds one while its details are asked for over another, so a
pool must be larger than the number of queries that run at a time."""
_DRIVER_SETTINGS: dict[str, Any] = {
    "connection_timeout": CONNECT_S,
    "connection_acquisition_timeout": 60.0,
    # The driver waits 1, 2, 4, 8, 16, 32 seconds, each a fifth more or less, and gives up once this has
    # passed: after half a minute or a minute. On a busy machine Neo4j takes that long to start again.
    "max_transaction_retry_time": 30.0,
    # Asking for a label that no circuit has yet is no reason to warn anybody.
    "notifications_min_severity": neo4j.NotificationMinimumSeverity.OFF,
    "telemetry_disabled": True,
}


class Transaction:
    """One transaction: what `run` wrote is kept when the work returns, and undone when it raises."""

    def __init__(self, transaction: neo4j.ManagedTransaction) -> None:
        self._transaction = transaction

    def run(self, text: str, parameters: Parameters = None) -> Rows:
        """The rows of one query, each a dict."""
        return [dict(record.items()) for record in self._transaction.run(text, _plain(parameters))]


class Database:
    """A pool of connections to one Neo4j; use it as a context manager, or close it. Threads may share it."""

    def __init__(self, driver: Driver, uri: str) -> None:
        self._driver = driver
        self._bookmarks = GraphDatabase.bookmark_manager()
        self.uri = uri

    @classmethod
    def connect(cls, uri: str, user: str, password: str) -> "Database":
        """Connect and check that the database answers.

        Raises InputError (the address is no address), UnreachableError, CredentialsError, DatabaseError.
        """
        with _translated(uri):
            driver = GraphDatabase.driver(uri, auth=(user, password), **_DRIVER_SETTINGS)
            try:
                driver.verify_connectivity()
            except BaseException:
                driver.close()
                raise
        return cls(driver, uri)

    def read(self, text: str, parameters: Parameters = None, *, timeout_s: float | None = None) -> Rows:
        """The rows of a query that only reads.

        `timeout_s`: seconds after which the database stops it, then QueryTimeoutError. Raises DatabaseError.
        """

        @unit_of_work(timeout=timeout_s)
        def work(transaction: neo4j.ManagedTransaction) -> Rows:
            return Transaction(transaction).run(text, parameters)

        with _translated(self.uri, timeout_s), self._session(neo4j.READ_ACCESS) as session:
            return session.execute_read(work)

    def stream(
        self, text: str, parameters: Parameters = None, *, columns: list[str] | None = None
    ) -> Iterator[dict[str, Any]]:
        """The rows of a query that only reads, as they come, so that their number does not matter.

        columns: a list that gets the names of the columns before the first row, also when no row comes.
        """
        with _translated(self.uri), self._session(neo4j.READ_ACCESS) as session:
            result = session.run(text, _plain(parameters))
            if columns is not None:
                columns[:] = result.keys()
            for record in result:
                yield dict(record.items())

    def write(self, text: str, parameters: Parameters = None) -> Rows:
        """Run one query in a transaction of its own; its rows."""
        return self.transaction(lambda transaction: transaction.run(text, parameters))

    def write_in_batches(self, text: str) -> None:
        """Run one query that may commit piece by piece (CALL … IN TRANSACTIONS); nothing runs it again."""
        with _translated(self.uri), self._session(neo4j.WRITE_ACCESS) as session:
            session.run(text).consume()

    def transaction(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in one write transaction and return what it returns.

        The driver runs it again after a deadlock or a lost connection, so `work` must not do anything else
        that lasts. What `work` raises undoes the transaction and is raised here.
        """
        with _translated(self.uri), self._session(neo4j.WRITE_ACCESS) as session:
            return session.execute_write(lambda transaction: work(Transaction(transaction)))

    def settle(self) -> None:
        """Wait until full-text search finds all that was written: its indexes follow commits by a moment."""
        self.read("CALL db.index.fulltext.awaitEventuallyConsistentIndexRefresh()")

    def close(self) -> None:
        self._driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _session(self, access: str) -> neo4j.Session:
        return self._driver.session(default_access_mode=access, bookmark_manager=self._bookmarks)


class AsyncDatabase:
    """`Database` for asyncio, reading only."""

    def __init__(self, driver: AsyncDriver, uri: str) -> None:
        self._driver = driver
        self.uri = uri

    @classmethod
    async def connect(
        cls, uri: str, user: str, password: str, *, connections: int = CONNECTIONS
    ) -> "AsyncDatabase":
        """Connect and check that the database answers; raises what `Database.connect` raises.

        connections: the most to be open at once; who wants another one waits.
        """
        with _translated(uri):
            driver = AsyncGraphDatabase.driver(
                uri, auth=(user, password), max_connection_pool_size=connections, **_DRIVER_SETTINGS
            )
            try:
                await driver.verify_connectivity()
            except BaseException:
                await driver.close()
                raise
        return cls(driver, uri)

    async def read(self, text: str, parameters: Parameters = None, *, timeout_s: float | None = None) -> Rows:
        """The rows of a query that only reads; raises what `Database.read` raises.

        Cancelling the task drops its connection, and with it Neo4j drops the query.
        """
        late = None if timeout_s is None else timeout_s + LATE_S
        with _translated(self.uri, timeout_s):
            try:
                async with asyncio.timeout(late):
                    try:
                        return await self._run(text, parameters, timeout_s)
                    except (ServiceUnavailable, SessionExpired):
                        # The server was started anew and this connection was to the one before.
                        return await self._run(text, parameters, timeout_s)
            except TimeoutError as error:
                raise ServiceUnavailable("it fell silent") from error

    async def _run(self, text: str, parameters: Parameters, timeout_s: float | None) -> Rows:
        """One message there and one back: a transaction that the driver opens by itself takes two more."""
        async with self._driver.session(default_access_mode=neo4j.READ_ACCESS) as session:
            result = await session.run(neo4j.Query(text, timeout=timeout_s), _plain(parameters))
            return [dict(record.items()) async for record in result]

    async def stream(
        self, text: str, parameters: Parameters = None, *, timeout_s: float | None = None
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The rows of a query that only reads, as they come; raises what `read` raises.

        Few are in memory at a time, so rows may be large. Closing the generator ends the query.
        """
        with _translated(self.uri, timeout_s):
            async with self._driver.session(
                default_access_mode=neo4j.READ_ACCESS, fetch_size=STREAMED_ROWS
            ) as session:
                result = await session.run(neo4j.Query(text, timeout=timeout_s), _plain(parameters))
                async for record in result:
                    yield dict(record.items())

    async def close(self) -> None:
        await self._driver.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _plain(parameters: Parameters) -> dict[str, Any]:
    return {} if parameters is None else dict(parameters)


@contextmanager
def _translated(uri: str, timeout_s: float | None = None) -> Iterator[None]:
    """The border: the driver's errors in, ours out."""
    if not _ADDRESS.match(uri):
        raise InputError(f"{uri!r} is no address of a Neo4j", next_step=_ADDRESS_NEXT)
    try:
        yield
    except ConfigurationError as error:
        raise InputError(
            f"{uri!r} is no address of a Neo4j: {error}",
            next_step=_ADDRESS_NEXT,
        ) from error
    except (ServiceUnavailable, SessionExpired) as error:
        raise UnreachableError(
            f"No Neo4j answers at {uri}",
            next_step="start the local one with `atlas db start`, or check NEO4J_URI",
        ) from error
    except Neo4jError as error:
        code = error.code or ""
        if code.startswith("Neo.ClientError.Security."):
            raise CredentialsError(
                f"The Neo4j at {uri} refused the user name or password ({code.rsplit('.', 1)[-1]})",
                next_step="check NEO4J_USERNAME and NEO4J_PASSWORD, or the file `credentials` in ATLAS_HOME",
            ) from error
        if "TransactionTimedOut" in code:
            limit = "its time limit" if timeout_s is None else f"its limit of {timeout_s:g} s"
            raise QueryTimeoutError(
                f"The query ran past {limit} and was stopped", next_step="ask for less at once"
            ) from error
        if "MemoryPoolOutOfMemory" in code:
            raise QueryMemoryError(
                "Neo4j has too little memory for this query",
                next_step="ask about fewer circuits at once, or give it more (here: `atlas db stop`, then "
                "`atlas db start --heap MB`)",
            ) from error
        if code.startswith("Neo.DatabaseError."):
            raise DatabaseError(
                f"Neo4j failed: {error.message} ({code})",
                next_step="see whether its disk is full, and what its logs say; start it again (here: "
                "`atlas db stop`, `atlas db start`), then give the same command again: nothing is lost",
            ) from error
        raise DatabaseError(f"Neo4j refused: {error.message} ({code})") from error
    except (OverflowError, UnicodeEncodeError) as error:
        raise InputError(
            f"A value cannot be stored in Neo4j: {error}",
            next_step="integers go to 2^63, and text must be valid Unicode",
        ) from error
    except DriverError as error:
        raise DatabaseError(f"The connection to {uri} failed: {error}") from error
