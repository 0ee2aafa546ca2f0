"""The GraphQL API as a running server: in the foreground for `atlas serve`, in a thread for the demo."""

import asyncio
import gc
import logging
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import uvicorn
import uvloop
from rich.console import Console

from api.app import LOOPBACK, create_app
from api.request.limits import Limits
from api.serving.logs import JsonLines
from api.serving.tracing import tracer_provider
from atlas.local.login import Login
from atlas.local.ports import HOST, require_free_port
from atlas.serving.connections import bounded, connections_within
from atlas.settings import Settings
from atlas.token_file import read_token
from schema.database import CONNECTIONS, Database
from schema.errors import AtlasError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

SHUTDOWN_S = 25
"""Seconds that running requests may still take when the server stops: more than a request may spend in the
database."""


@dataclass(frozen=True)
class ServerOptions:
    """How the API is served."""

    host: str = HOST
    """Address to listen on."""
    port: int = 8000
    token: str | None = field(default=None, repr=False)
    """The token that requests must carry. None: no token is required, and nothing can be written."""
    limits: Limits | None = None
    """None: the default limits."""
    connections: int = CONNECTIONS
    """The largest number of open connections to the database."""
    tracing: "TracerProvider | None" = None
    """Receives traces. None: no traces."""
    names: Sequence[str] = ()
    """Names under which clients reach the server, beside those of this machine (`create_app`)."""
    proxies: Sequence[str] = ()
    """Addresses of proxies whose X-Forwarded-For says which client a request comes from."""


class _Server(uvicorn.Server):
    """A server that calls `on_start` as soon as it accepts connections."""

    def __init__(self, config: uvicorn.Config, on_start: "Callable[[_Server], None]") -> None:
        super().__init__(config)
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            # Imported while nobody waits for it: the first question about significance needs it.
            asyncio.get_running_loop().run_in_executor(None, _import_scipy)
            self._on_start(self)


def _import_scipy() -> None:
    import_module("scipy.stats")
    if gc.get_freeze_count():
        # `serve` froze what it had loaded. Without this, each collection would visit all that scipy loads.
        gc.collect()
        gc.freeze()


SWITCH_S = 5e-4
"""Seconds after which a thread lets the event loop run. With Python's own 5 ms, each step of an answer would
wait for so long while a query text is validated."""


async def _run(
    login: Login,
    options: ServerOptions,
    *,
    writer: Database | None = None,
    on_start: Callable[[_Server], None] = lambda server: None,
) -> None:
    """Serve until the server is told to stop. writer: for mutations. None: nothing can be written."""
    sys.setswitchinterval(SWITCH_S)
    # When a field of a query fails, graphql-core leaves its neighbours without running them.
    warnings.filterwarnings("ignore", "coroutine '.*' was never awaited", RuntimeWarning)
    limits = options.limits or Limits()
    connections = connections_within(limits, options.connections)
    database = await login.connect_async(options.connections)
    try:
        app = create_app(
            database,
            token=options.token,
            limits=limits,
            tracing=options.tracing,
            writer=writer,
            hosts=[*_names_of_this_machine(options.host), *options.names],
        )
        config = uvicorn.Config(
            app,
            host=options.host,
            port=options.port,
            log_level="warning",
            lifespan="on",
            access_log=False,
            ws="websockets-sansio",
            http=bounded(limits, connections),
            ws_max_size=limits.body,
            proxy_headers=bool(options.proxies),
            forwarded_allow_ips=list(options.proxies),
            timeout_graceful_shutdown=SHUTDOWN_S,
        )
        await _Server(config, on_start).serve()
    finally:
        await database.close()
        if options.tracing is not None:
            options.tracing.shutdown()


def _names_of_this_machine(host: str) -> list[str]:
    """What clients may call a server that listens on `host`, as a `Host` header gives it."""
    addresses = [host]
    if host in ("0.0.0.0", "::"):
        found = [each for every in psutil.net_if_addrs().values() for each in every]
        addresses += [each.address for each in found if each.family in (socket.AF_INET, socket.AF_INET6)]
    names = [f"[{each.partition('%')[0]}]" if ":" in each else each for each in addresses]
    return [*LOOPBACK, socket.gethostname(), *names]


def _log_json() -> None:
    """Write one line of JSON per request to the standard error output."""
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
    names: Sequence[str] = (),
    proxies: Sequence[str] = (),
) -> None:
    """Serve until interrupted. Requests that are running are finished first.

    Raises InputError when the port is taken or the token cannot be used, DatabaseError when Neo4j refuses.
    """
    token = None if token_file is None else read_token(token_file)
    tracing = tracer_provider(otel_endpoint) if otel_endpoint or settings.traces else None
    login = Login(settings)
    require_free_port(port, "The API", "--port", host=host)
    # This connection migrates the database, and reports any problem with it before the server starts.
    writer = login.connect()
    url = f"http://{host}:{port}"
    console.print(f"Explorer at {url}/, GraphQL at {url}/graphql. Ctrl-C stops both.")
    if token is None and host not in (*LOOPBACK, "::1"):
        console.print(
            f"Everyone who can reach {host}:{port} can read all circuits. --token-file requires a token.",
            soft_wrap=True,
        )
    _log_json()
    # Objects that live as long as the process, mostly libraries, need not be visited by each collection.
    gc.collect()
    gc.freeze()
    options = ServerOptions(host, port, token, limits, connections, tracing, names, proxies)
    with writer:
        uvloop.run(_run(login, options, writer=writer))


@contextmanager
def serving(
    settings: Settings, *, port: int, token: str | None = None, limits: Limits | None = None
) -> Iterator[str]:
    """Serve on the loopback address in a thread. Yields the API's URL, and stops the server at the end.

    token: what requests must carry; None: no token is required, and nothing can be written. limits: None for
    the defaults. Raises InputError when the port is taken, AtlasError when the server does not start.
    """
    login = Login(settings)
    require_free_port(port, "The API", "--port")
    ended_or_started = threading.Event()
    servers: list[_Server] = []
    errors: list[Exception] = []
    options = ServerOptions(port=port, token=token, limits=limits)

    def on_start(server: _Server) -> None:
        servers.append(server)
        ended_or_started.set()

    def work() -> None:
        try:
            with nullcontext() if token is None else login.connect() as writer:
                uvloop.run(_run(login, options, writer=writer, on_start=on_start))
        except Exception as error:  # noqa: BLE001  raised in the thread that waits
            errors.append(error)
        finally:
            ended_or_started.set()

    thread = threading.Thread(target=work, name="graphql-api", daemon=True)
    thread.start()
    ended_or_started.wait()
    if errors:
        raise errors[0]
    if not servers:
        raise AtlasError("The API did not start", next_step="run `atlas doctor`")
    try:
        yield f"http://{HOST}:{port}/graphql"
    finally:
        servers[0].should_exit = True
        thread.join()
