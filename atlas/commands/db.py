"""`atlas db`: the local Neo4j, started, stopped and looked at."""

from typing import Annotated

import typer

from atlas.commands.options import BoltPort, HttpPort, out
from atlas.settings import Settings

db = typer.Typer(
    help="A local Neo4j without Docker or Java of your own: its data lives in ATLAS_HOME (default ./.atlas).",
    no_args_is_help=True,
)


@db.command("start")
def db_start(
    bolt_port: BoltPort = 7687,
    http_port: HttpPort = 7474,
    heap: Annotated[
        int,
        typer.Option(
            min=256,
            help="Memory of Neo4j in MB; half as much again caches its files. Give more for thousands of "
            "circuits: above 2048 it also compiles its code fully.",
        ),
    ] = 1024,
) -> None:
    """Start the local database (the first time, download it) and print its addresses."""
    from atlas.local.server import LocalServer

    local = LocalServer(Settings.load().home)
    address = local.start(bolt_port=bolt_port, http_port=http_port, heap_mb=heap)
    out.print(f"Neo4j runs at {address.bolt_uri}; console: {address.browser_url}")
    out.print(
        f"User {address.user}; the password is in {Settings.load().home / 'credentials'}", soft_wrap=True
    )


@db.command("stop")
def db_stop() -> None:
    """Stop the local database; its data stays."""
    from atlas.local.server import LocalServer

    stopped = LocalServer(Settings.load().home).stop()
    out.print("Neo4j stopped." if stopped else "Neo4j was not running.")


@db.command("status")
def db_status() -> None:
    """Say whether the local database runs, where, and how large it is. Exit code 1 when it does not run."""
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
