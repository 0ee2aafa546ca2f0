"""Writers, which load shards into the database or put them into a store. They need no model and no torch."""

from typing import NamedTuple

from ingest.cluster.failures import returning_errors
from ingest.imports.shards import ShardLoader, ShardSummary
from schema.database import Database
from schema.errors import UnreachableError
from schema.shards.shard import Shard
from schema.shards.store import Store


class WrittenShare(NamedTuple):
    """What a writer did with the shards of one share."""

    n_new: int
    n_present: int


class StoreWriter:
    """Writes shards to a store."""

    def __init__(self, address: str, called: str) -> None:
        """address: a whole path when it is local, because a writer runs in another folder. called: what the
        user calls the store."""
        self._address, self._called = address, called

    @returning_errors
    def write(self, shards: list[tuple[str, bytes]], n_circuits: int) -> WrittenShare:
        """Write shards: those that are there already are written again, with the same bytes."""
        store = Store(self._address, self._called)
        for name, data in shards:
            store.put(name, data)
        return WrittenShare(n_circuits, 0)


class DatabaseAddress(NamedTuple):
    """Where writers find the database."""

    uri: str
    user: str
    password: str


class DatabaseWriter:
    """Loads shards into the database."""

    def __init__(self, address: DatabaseAddress) -> None:
        self._address = address
        self._database: Database | None = None

    @returning_errors
    def write(self, shards: list[tuple[str, bytes]], n_circuits: int) -> WrittenShare:
        """Load shards. What the database has already is left as it is."""
        if self._database is None:
            try:
                self._database = Database.connect(*self._address)
            except UnreachableError as error:
                raise UnreachableError(
                    error.what,
                    next_step="set NEO4J_URI to an address that every machine reaches, or use --to",
                ) from error
        summary = ShardSummary()
        with ShardLoader(self._database, summary) as loader:
            for name, data in shards:
                loader.load(Shard(name, data))
        if summary.problems:
            raise summary.problems[0]
        return WrittenShare(summary.loaded, summary.present)
