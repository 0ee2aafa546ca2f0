"""The GraphQL API as a running server: in the foreground for `atlas serve`, in a thread for the demo."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from rich.console import Console

from api.app import create_app
from atlas.database import Login
from atlas.settings import Settings
from schema.errors import AtlasError, InputError


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


async def _run(login: Login, host: str, port: int, ready: "Ready") -> None:
    database = await login.connect_async()
    try:
        config = uvicorn.Config(
            create_app(database), host=host, port=port, log_level="warning", lifespan="on", access_log=False
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


class Ready:
    """What a thread that serves tells the one that waits for it."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.server: uvicorn.Server | None = None
        self.error: Exception | None = None


def serve(settings: Settings, console: Console, *, host: str, port: int) -> None:
    """Serve until interrupted. Raises InputError when the port is taken, DatabaseError when Neo4j says no."""
    login = Login(settings)
    check_port(host, port)
    with login.connect():
        pass  # migrated, and any trouble named before the server starts
    console.print(f"GraphQL at http://{host}:{port}/graphql (GraphiQL in a browser). Ctrl-C stops it.")
    asyncio.run(_run(login, host, port, Ready()))


@contextmanager
def serving(settings: Settings, *, port: int) -> Iterator[str]:
    """Serve on loopback in a thread; yields the address, stops at the end."""
    login = Login(settings)
    check_port("127.0.0.1", port)
    ready = Ready()

    def work() -> None:
        try:
            asyncio.run(_run(login, "127.0.0.1", port, ready))
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
