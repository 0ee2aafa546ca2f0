"""The GraphQL API as a running server: in the foreground for `atlas serve`, in a thread for the demo."""

import asyncio
import gc
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
import uvloop
from rich.console import Console

from api.app import create_app
from api.request.limits import Limits
from api.serving.logs import JsonLines
from api.serving.tracing import tracer_provider
from atlas.local.login import Login
from atlas.settings import Settings
from schema.database import CONNECTIONS, Database
from schema.errors import AtlasError, InputError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

SHUTDOWN_S = 25
"""How long answers may still take at the end: longer than a request may spend in the database."""
LEAST_TOKEN = 16
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def check_port(host: str, port: int) -> None:
    """Raises InputError when nothing can listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InputError(
                f"The API cannot listen on {host}:{port}: {error.strerror}",
                next_step=f"stop what uses it, or choose another port, for example --port {port + 1}",
            ) from error


async def _run(
    login: Login,
    host: str,
    port: int,
    ready: "Ready",
    token: str | None = None,
    limits: Limits | None = None,
    connections: int = CONNECTIONS,
    tracing: "TracerProvider | None" = None,
    writer: Database | None = None,
) -> None:
    database = await login.connect_async(connections)
    try:
        config = uvicorn.Config(
            create_app(database, token=token, limits=limits, tracing=tracing, writer=writer),
            host=host,
            port=port,
            log_level="warning",
            lifespan="on",
            access_log=False,
            ws="websockets-sansio",
            ws_max_size=(limits or Limits()).body,
            timeout_graceful_shutdown=SHUTDOWN_S,
        )
        server = uvicorn.Server(config)
        ready.server = server
        task = asyncio.ensure_future(server.serve())
        while not server.started and not task.done():
            await asyncio.sleep(0.02)
        ready.event.set()
        await task
    finally:
        await database.close()
        if tracing is not None:
            tracing.shutdown()


class Ready:
    """What a thread that serves tells the one that waits for it."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.server: uvicorn.Server | None = None
        self.error: Exception | None = None


def read_token(file: Path) -> str:
    """The token in a file, blanks around it left out. Raises InputError when there is none to be used."""
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"The token file {file} cannot be read: {error}", next_step="check the path and its permissions"
        ) from error
    if len(token) < LEAST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise InputError(
            f"The token in {file} is under {LEAST_TOKEN} characters, or not plain ASCII without blanks",
            next_step=f"make one, for example: openssl rand -hex 24 > {file}",
        )
    return token


def _log_json() -> None:
    """One line of JSON a request, on the standard error output."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("atlas")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def serve(
    settings: Settings,
    console: Console,
    *,
    host: str,
    port: int,
    token_file: Path | None = None,
    limits: Limits | None = None,
    connections: int = CONNECTIONS,
    otel_endpoint: str | None = None,
) -> None:
    """Serve until interrupted; answers that are being worked on are finished first.

    Raises InputError when the port is taken or the token cannot be used, DatabaseError when Neo4j says no.
    """
    token = None if token_file is None else read_token(token_file)
    tracing = tracer_provider(otel_endpoint) if otel_endpoint or settings.traces else None
    login = Login(settings)
    check_port(host, port)
    # Migrated, and any trouble named before the server starts.
    writer = login.connect()
    console.print(f"GraphQL at http://{host}:{port}/graphql (GraphiQL in a browser). Ctrl-C stops it.")
    if token is None and host not in LOOPBACK:
        console.print(
            f"Everyone who reaches {host}:{port} can read all circuits; see --token-file.",
            soft_wrap=True,
        )
    _log_json()
    # What is there for good, libraries above all, need not be looked through with every collection.
    gc.collect()
    gc.freeze()
    with writer:
        uvloop.run(_run(login, host, port, Ready(), token, limits, connections, tracing, writer))


@contextmanager
def serving(settings: Settings, *, port: int) -> Iterator[str]:
    """Serve on loopback in a thread; yields the address, stops at the end."""
    login = Login(settings)
    check_port("127.0.0.1", port)
    ready = Ready()

    def work() -> None:
        try:
            uvloop.run(_run(login, "127.0.0.1", port, ready))
        except Exception as error:  # noqa: BLE001  carried to the waiting thread
            ready.error = error
        finally:
            ready.event.set()

    thread = threading.Thread(target=work, name="graphql-api", daemon=True)
    thread.start()
    ready.event.wait()
    if ready.error is not None:
        raise ready.error
    if ready.server is None or not ready.server.started:
        raise AtlasError("The API did not start", next_step="run `atlas doctor`")
    try:
        yield f"http://127.0.0.1:{port}/graphql"
    finally:
        ready.server.should_exit = True
        thread.join()
