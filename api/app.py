"""The API over HTTP: `/graphql` (GraphiQL in a browser), `/export`, `/healthz`, `/readyz`, `/metrics`."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from api.downloads.endpoint import Downloads
from api.request.concurrency import Seats
from api.request.limits import Limits
from api.request.loaders import Loaders
from api.request.metrics import Metrics
from api.serving.console import console_routes
from api.serving.endpoint import GRAPHIQL_PACKAGE, Endpoint, graphql_schema, html
from api.serving.middleware import Watch
from schema.database import AsyncDatabase, Database
from schema.errors import AtlasError
from schema.questions.runs import HEALTH

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider


def sdl() -> str:
    """The schema in the schema definition language, as `api/schema.graphql` has it."""
    return graphql_schema().as_str() + "\n"


def _graphiql_files() -> list[BaseRoute]:
    spec = find_spec(GRAPHIQL_PACKAGE)
    if spec is None or spec.origin is None:
        return []
    folder = Path(spec.origin).parent / "static" / GRAPHIQL_PACKAGE
    return [Mount("/graphiql", StaticFiles(directory=folder))]


def create_app(
    database: AsyncDatabase,
    *,
    limits: Limits | None = None,
    token: str | None = None,
    tracing: "TracerProvider | None" = None,
    writer: Database | None = None,
) -> Starlette:
    """The API as an ASGI application that reads `database`, which stays the caller's to close.

    token: what requests must carry as `Authorization: Bearer …`; None: nothing. tracing: who gets the spans
    of each query (`api.serving.tracing`); the caller shuts it down.
    """
    if token is None:
        writer = None
    chosen, metrics = limits or Limits(), Metrics()
    schema, seats = graphql_schema(chosen, tracing), Seats(chosen.running, chosen.waiting, metrics)
    endpoint = Endpoint(database, schema, chosen, metrics, seats, token, writer)
    downloads = Downloads(database, schema, chosen, metrics, seats)

    async def home(request: Request) -> Response:
        return HTMLResponse(html("home.html"))

    async def alive(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(request: Request) -> Response:
        try:
            (row,) = await Loaders(database, chosen, metrics).ask(HEALTH)
        except AtlasError as error:
            problem: dict[str, Any] = {
                "status": "unavailable",
                "code": error.code,
                "nextStep": error.next_step,
            }
            return JSONResponse(problem, status_code=503)
        return JSONResponse({"status": "ok", "circuits": row.circuits})

    async def numbers(request: Request) -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return Starlette(
        routes=[
            Route("/", home),
            Route("/healthz", alive),
            Route("/readyz", ready),
            Route("/metrics", numbers),
            Route("/graphql", endpoint),
            WebSocketRoute("/graphql", endpoint),
            Route("/export", downloads),
            Route("/export/{name}", downloads),
            *console_routes(),
            *_graphiql_files(),
        ],
        middleware=[Middleware(Watch, metrics, token)],
    )
