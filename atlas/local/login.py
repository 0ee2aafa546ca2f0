"""The login to the database that the commands use: the user's own Neo4j, or the local one in ATLAS_HOME."""

from atlas.local.server import LocalServer
from atlas.settings import Settings
from atlas.terminal import PlainConsole
from schema.database import CONNECTIONS, AsyncDatabase, Database
from schema.errors import UnreachableError
from schema.slow import said_if_slow
from schema.upkeep.migrations import migrate

err = PlainConsole(stderr=True, highlight=False)


class Login:
    """Address, user and password of the database."""

    def __init__(self, settings: Settings) -> None:
        """Raises UnreachableError when there is no NEO4J_URI and the local database does not run."""
        if settings.neo4j_uri is not None:
            self.uri = settings.neo4j_uri
            self.user = settings.neo4j_user
            self.password = settings.neo4j_password or ""
            return
        status = LocalServer(settings.home).status()
        if not status.running or status.address is None:
            raise UnreachableError(
                f"The local database in {settings.home} is not running",
                next_step="start it with `atlas db start`, or set NEO4J_URI to use another Neo4j",
            )
        self.uri = status.address.bolt_uri
        self.user = status.address.user
        self.password = status.address.password

    def connect(self) -> Database:
        """Connect, and migrate the database if it is old. Print each migration, and a line when this is slow.

        Close the database, or use it as a context manager. Raises what `Database.connect` raises.
        """
        with said_if_slow(f"Waiting for the database at {self.uri} …", err.print):
            database = Database.connect(self.uri, self.user, self.password)
            try:
                migrate(database, step=lambda name: err.print(f"Bringing the database up to date: {name} …"))
            except BaseException:
                database.close()
                raise
        return database

    async def connect_async(self, connections: int = CONNECTIONS) -> AsyncDatabase:
        """Connect for the API, which only reads. connections: the largest number of open connections."""
        return await AsyncDatabase.connect(self.uri, self.user, self.password, connections=connections)
