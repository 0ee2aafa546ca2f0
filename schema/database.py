"""Connections to Neo4j. Only this file uses the driver; it turns the driver's errors into `schema.errors`.

`Database` is for commands and the ingest. `AsyncDatabase` is for the API and only reads. Values from outside
are always parameters; the text of a query is always our own.
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
    RefusedError,
    UnreachableError,
)

T = TypeVar("T")
Parameters = Mapping[str, Any] | None
Rows = list[dict[str, Any]]

CONNECT_S = 5.0
CANCEL_S = 0.05
"""Seconds between attempts to close the connection of a cancelled query, while the driver still opens it."""
LATE_S = 10.0
"""Seconds after the time limit of a query until the server counts as unreachable."""
STREAMED_ROWS = 8
"""Number of rows that the driver requests at a time for a streamed query."""
_ADDRESS = re.compile(r"(bolt|neo4j)(\+s|\+ssc)?://.")
_ADDRESS_NEXT = "write it as bolt://host:7687 or neo4j+s://host"
# The driver logs every retry. To read the log, add a handler.
logging.getLogger("neo4j").addHandler(logging.NullHandler())
_MEANWHILE = (
    "Neo.ClientError.Statement.EntityNotFound",
    "Neo.ClientError.Schema.ConstraintValidationFailed",
)
"""What Neo4j says when a node was deleted between finding and locking it, and when another transaction
created a node with the same key."""
_OF_VALUES = tuple(
    f"Neo.ClientError.{each}"
    for each in ("Schema.", "Statement.ArgumentError", "Statement.ArithmeticError", "Statement.TypeError")
)
"""Beginnings of the codes with which Neo4j refuses values; another value can be right."""
_TOO_LARGE = "too large to index"
"""What Neo4j says of a text that an index cannot hold; its code is that of a failure."""
CHANGED_MEANWHILE = 10
"""How often a transaction is tried whose nodes others delete or create."""
CONNECTIONS = 100
"""Largest number of connections in one pool. A download holds one connection while it asks for details over
another, so a pool must be larger than the number of queries that run at a time."""
_DRIVER_SETTINGS: dict[str, Any] = {
    "connection_timeout": CONNECT_S,
    "connection_acquisition_timeout": 60.0,
    # The driver waits about 1, 2, 4, 8, 16 and 32 seconds and gives up when this time has passed, which takes
    # half a minute to a minute. On a busy machine Neo4j takes that long to restart.
    "max_transaction_retry_time": 30.0,
    # A query for a label that no node has yet needs no warning.
    "notifications_min_severity": neo4j.NotificationMinimumSeverity.OFF,
    "telemetry_disabled": True,
}


class Transaction:
    """One transaction. Its writes are committed when the work returns and undone when the work raises."""

    def __init__(self, transaction: neo4j.ManagedTransaction) -> None:
        self._transaction = transaction

    def run(self, text: str, parameters: Parameters = None) -> Rows:
        """The rows of one query; each row is a dict."""
        return [dict(record.items()) for record in self._transaction.run(text, _plain(parameters))]


class Database:
    """A pool of connections to one Neo4j. Use it as a context manager or close it. Threads can share it."""

    def __init__(self, driver: Driver, uri: str) -> None:
        self._driver = driver
        self._bookmarks = GraphDatabase.bookmark_manager()
        self.uri = uri

    @classmethod
    def connect(cls, uri: str, user: str, password: str) -> "Database":
        """Connect and check that the database answers.

        Raises InputError when the address is malformed, and UnreachableError, CredentialsError or
        DatabaseError.
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

        timeout_s: seconds after which the database stops the query; None means no limit. Raises
        QueryTimeoutError when the limit is exceeded, and DatabaseError.
        """

        @unit_of_work(timeout=timeout_s)
        def work(transaction: neo4j.ManagedTransaction) -> Rows:
            return Transaction(transaction).run(text, parameters)

        with _translated(self.uri, timeout_s), self._session(neo4j.READ_ACCESS) as session:
            return session.execute_read(work)

    def stream(
        self, text: str, parameters: Parameters = None, *, columns: list[str] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield the rows of a query that only reads. Few rows are in memory at a time.

        columns: a list that receives the names of the columns before the first row, also when there is no
        row.
        """
        with _translated(self.uri), self._session(neo4j.READ_ACCESS) as session:
            result = session.run(text, _plain(parameters))
            if columns is not None:
                columns[:] = result.keys()
            for record in result:
                yield dict(record.items())

    def write(self, text: str, parameters: Parameters = None) -> Rows:
        """Run one query in its own transaction, and return its rows."""
        return self.transaction(lambda transaction: transaction.run(text, parameters))

    def write_in_batches(self, text: str) -> None:
        """Run one query that can commit in pieces (CALL … IN TRANSACTIONS). Errors are not retried."""
        with _translated(self.uri), self._session(neo4j.WRITE_ACCESS) as session:
            session.run(text).consume()

    def transaction(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in one write transaction and return what it returns.

        `work` runs again after a deadlock, a lost connection, or when another transaction deleted a node
        while `work` waited for its lock, or created a node with the same key. So `work` must not have other
        lasting effects. An error that `work` raises undoes the transaction and is raised here.
        """
        with _translated(self.uri), self._session(neo4j.WRITE_ACCESS) as session:
            for _ in range(CHANGED_MEANWHILE - 1):
                try:
                    return session.execute_write(lambda transaction: work(Transaction(transaction)))
                except Neo4jError as error:
                    if error.code not in _MEANWHILE:
                        raise
            return session.execute_write(lambda transaction: work(Transaction(transaction)))

    def wait_for_full_text(self) -> None:
        """Wait until full-text search finds everything that was committed; its indexes lag behind."""
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
    """`Database` for asyncio. It only reads."""

    def __init__(self, driver: AsyncDriver, uri: str) -> None:
        self._driver = driver
        self.uri = uri

    @classmethod
    async def connect(cls, uri: str, user: str, password: str, *, connections: int = CONNECTIONS) -> Self:
        """Connect and check that the database answers. Raises the errors of `Database.connect`.

        connections: largest number of open connections. A query waits for a free connection.
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
        """The rows of a query that only reads. Raises the errors of `Database.read`.

        Cancelling the task closes its connection, and then Neo4j stops the query.
        """
        late = None if timeout_s is None else timeout_s + LATE_S
        with _translated(self.uri, timeout_s):
            try:
                async with asyncio.timeout(late):
                    try:
                        return await self._run(text, parameters, timeout_s)
                    except (ServiceUnavailable, SessionExpired):
                        # The server was restarted, and this connection belonged to the old process.
                        return await self._run(text, parameters, timeout_s)
            except TimeoutError as error:
                raise ServiceUnavailable("it no longer answers") from error

    async def _run(self, text: str, parameters: Parameters, timeout_s: float | None) -> Rows:
        """Send one message and receive one; a transaction of the driver would take two more messages."""
        async with self._driver.session(default_access_mode=neo4j.READ_ACCESS) as session:
            result = await _begun(session, neo4j.Query(text, timeout=timeout_s), parameters)
            return [dict(record.items()) async for record in result]

    async def stream(
        self, text: str, parameters: Parameters = None, *, timeout_s: float | None = None
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the rows of a query that only reads. Raises the errors of `read`.

        Few rows are in memory at a time, so rows can be large. Closing the generator stops the query.
        """
        with _translated(self.uri, timeout_s):
            async with self._driver.session(
                default_access_mode=neo4j.READ_ACCESS, fetch_size=STREAMED_ROWS
            ) as session:
                result = await _begun(session, neo4j.Query(text, timeout=timeout_s), parameters)
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


async def _begun(
    session: neo4j.AsyncSession, query: neo4j.Query, parameters: Parameters
) -> neo4j.AsyncResult:
    """What `session.run` gives. Cancelling the task closes the connection.

    The driver leaves a socket open when it is cancelled while it connects. Therefore it is never cancelled:
    it connects to the end, and then the connection is closed.
    """
    running = asyncio.create_task(session.run(query, _plain(parameters)))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            session.cancel()
            await asyncio.wait([running], timeout=CANCEL_S)
        running.exception()  # read here, so that nobody else has to
        raise


def _plain(parameters: Parameters) -> dict[str, Any]:
    return {} if parameters is None else dict(parameters)


@contextmanager
def _translated(uri: str, timeout_s: float | None = None) -> Iterator[None]:
    """Turn the driver's errors into ours."""
    if not _ADDRESS.match(uri):
        raise InputError(f"{uri!r} is not an address of a Neo4j", next_step=_ADDRESS_NEXT)
    try:
        yield
    except ConfigurationError as error:
        raise InputError(
            f"{uri!r} is not an address of a Neo4j: {error}",
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
                f"The query exceeded {limit} and was stopped", next_step="ask for less at once"
            ) from error
        if "OutOfMemory" in code:  # of the limit of a transaction, or of the heap itself
            raise QueryMemoryError(
                "Neo4j has too little memory for this query",
                next_step="ask about fewer circuits at once, or give Neo4j more memory (here: "
                "`atlas db stop`, then `atlas db start --heap MB`)",
            ) from error
        if _TOO_LARGE in (error.message or ""):
            raise RefusedError(f"Neo4j refused: {error.message}", next_step="shorten the text") from error
        if code.startswith("Neo.DatabaseError."):
            raise DatabaseError(
                f"Neo4j failed: {error.message} ({code})",
                next_step="check whether its disk is full, and read its logs; restart it (here: "
                "`atlas db stop`, `atlas db start`), then repeat the command: nothing is lost",
            ) from error
        kind = RefusedError if code.startswith(_OF_VALUES) else DatabaseError
        raise kind(f"Neo4j refused: {error.message} ({code})") from error
    except (OverflowError, UnicodeEncodeError) as error:
        raise InputError(
            f"A value cannot be stored in Neo4j: {error}",
            next_step="integers must be below 2^63, and text must be valid Unicode",
        ) from error
    except DriverError as error:
        raise DatabaseError(f"The connection to {uri} failed: {error}") from error
