"""Free ports, the address of a server, and a database emptied between tests."""

import socket

from atlas.local.server import Address
from schema.database import Database


def free_port() -> int:
    """A port of the loopback interface that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def empty(database: Database) -> None:
    """Delete everything but the record of migrations."""
    while database.write(
        "MATCH (n) WHERE NOT n:Migration WITH n LIMIT 1000 DETACH DELETE n RETURN count(*) AS n"
    )[0]["n"]:
        pass


def environment_of(server: Address) -> dict[str, str]:
    """The environment variables that name a server to the command, the API and the studies."""
    return {"NEO4J_URI": server.bolt_uri, "NEO4J_USERNAME": server.user, "NEO4J_PASSWORD": server.password}
