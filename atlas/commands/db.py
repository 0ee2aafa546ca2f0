"""`atlas db`: start, stop and look at the local Neo4j."""

from typing import Annotated

import typer

from atlas.commands.options import BoltPort, HttpPort, out
from atlas.settings import Settings

db = typer.Typer(
    help="Start, stop and look at a local Neo4j. It needs no Docker and no Java of your own.\n\nFor "
    "example: `atlas db start`, then `atlas ingest` or `atlas import`. The data is in the folder ATLAS_HOME "
    "(default ./.atlas). To use another Neo4j, set NEO4J_URI and NEO4J_PASSWORD instead.",
    no_args_is_help=True,
)


@db.command("start")
def db_start(
    bolt_port: BoltPort = 7687,
    http_port: HttpPort = 7474,
    heap: Annotated[
        int | None,
        typer.Option(
            min=256,
            help="Memory of Neo4j in MB. Half as much again is used to cache its files. Give more for "
            "thousands of circuits: above 2048, Neo4j also compiles its code fully.",
            show_default="a quarter of the machine's memory, 512 to 4096",
        ),
    ] = None,
) -> None:
    """Start the local database and print its addresses. The first start downloads Neo4j (190 MB).

    For example: `atlas db start --heap 4096`. Then load circuits with `atlas ingest` or `atlas import`.
    """
    from atlas.local.server import LocalServer

    local = LocalServer(Settings.load().home)
    address = local.start(bolt_port=bolt_port, http_port=http_port, heap_mb=heap)
    out.print(f"Neo4j runs at {address.bolt_uri}; console: {address.browser_url}")
    out.print(
        f"User {address.user}; the password is in {Settings.load().home / 'credentials'}", soft_wrap=True
    )


@db.command("stop")
def db_stop() -> None:
    """Stop the local database. Its data stays, and `atlas db start` starts it again."""
    from atlas.local.server import LocalServer

    stopped = LocalServer(Settings.load().home).stop()
    out.print("Neo4j stopped." if stopped else "Neo4j was not running.")


@db.command("status")
def db_status() -> None:
    """Print whether the local database runs, its addresses and its size. The exit code is 1 when it does not
    run.

    `atlas stats` counts what the database holds.
    """
    from atlas.local.server import LocalServer

    settings = Settings.load()
    status = LocalServer(settings.home).status()
    if not status.running or status.address is None:
        out.print(
            f"Neo4j is not running (home: {settings.home}). Start it with `atlas db start`.", soft_wrap=True
        )
        raise typer.Exit(1)
    out.print(f"Neo4j runs, process {status.pid}, at {status.address.bolt_uri}")
    out.print(f"Console: {status.address.browser_url}")
    out.print(f"Data: {status.data_bytes / 1e6:.1f} MB in {settings.home}", soft_wrap=True)
