"""The atlas that the demo needs: a database with the bundled prompts, and the API in front of it."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from atlas.client import AtlasClient
from atlas.local.login import Login
from atlas.local.ports import require_free_port
from atlas.local.server import LocalServer
from atlas.serving.api_server import serving
from atlas.settings import Settings
from ingest.circuits.run import IngestSettings, ingest
from ingest.organism.weights import MODEL_DIR, PROMPTS_PATH, TRANSCODERS_DIR


class RunningDemo(NamedTuple):
    """A served atlas of the bundled prompts."""

    client: AtlasClient
    """Connected to its API."""
    settings: Settings
    browser_url: str | None
    """Address of the Neo4j console. None: the database is not the local one."""

    def print_addresses(self, console: Console) -> None:
        """Print where to look around, and how to stop."""
        api = self.client.url
        console.print("\n[bold]Look around[/]")
        console.print(f"Explorer       {api.removesuffix('graphql')}")
        console.print(f"GraphiQL       {api}")
        if self.browser_url is not None:
            login = Login(self.settings)
            console.print(
                f"Neo4j console  {self.browser_url}   user {login.user}, password {login.password}",
                soft_wrap=True,
            )
            console.print(
                f"               connect to {login.uri}; queries to paste are in its guide",
                soft_wrap=True,
            )
            guide = api.replace("127.0.0.1", "localhost").removesuffix("/graphql") + "/guide.html"
            console.print(f"               and type there  :guide {guide}", soft_wrap=True)
        atlas = command()
        console.print(f"Scripts        `{atlas} query FILE.graphql --table`", highlight=False, soft_wrap=True)
        console.print(
            f"Stop           Ctrl-C (the data stays; the next `{atlas} demo` takes seconds)", soft_wrap=True
        )


def command() -> str:
    """The word that starts the command here: the environment of a checkout need not be on the PATH."""
    return "atlas" if shutil.which("atlas") else str(Path(sys.executable).with_name("atlas"))


@contextmanager
def running_demo(
    settings: Settings, console: Console, *, port: int, bolt_port: int, http_port: int
) -> Iterator[RunningDemo]:
    """Start the database, ingest the bundled prompts and serve the API.

    A local database that this call started is stopped at the end; its data stays. Raises InputError when a
    port is taken, and what starting the database, ingesting and serving raise.
    """
    require_free_port(port, "The API", "--port")
    with _database(settings, bolt_port=bolt_port, http_port=http_port) as browser_url:
        _ingest(settings, console)
        with serving(settings, port=port) as url, AtlasClient(url) as client:
            yield RunningDemo(client, settings, browser_url)


@contextmanager
def _database(settings: Settings, *, bolt_port: int, http_port: int) -> Iterator[str | None]:
    """A running database. Yields the address of the Neo4j console, or None for a database of the user's."""
    if settings.neo4j_uri is not None:
        yield None
        return
    local = LocalServer(settings.home)
    was_running = local.status().running
    address = local.start(bolt_port=bolt_port, http_port=http_port)
    try:
        yield address.browser_url
    finally:
        if not was_running:
            local.stop()


def _ingest(settings: Settings, console: Console) -> None:
    with Login(settings).connect() as database:
        summary = ingest(
            database,
            IngestSettings(prompts=PROMPTS_PATH, model=MODEL_DIR, transcoders=TRANSCODERS_DIR),
            console=console,
        )
    console.print(summary.sentence(), highlight=False, soft_wrap=True)
    if summary.problems:
        raise summary.problems[0]
