"""The API as an ASGI application: the explorer, `/graphql`, `/export`, `/figures`, health and metrics."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute

from api.downloads.endpoint import Downloads
from api.request.batching import Loaders
from api.request.concurrency import Shares
from api.request.errors import http_refusal
from api.request.limits import Limits
from api.request.metrics import Metrics
from api.serving.console import console_routes
from api.serving.endpoint import Endpoint
from api.serving.explorer import explorer_routes
from api.serving.figures import Figures
from api.serving.graphql_schema import graphql_schema
from api.serving.middleware import request_middleware
from api.serving.pages import page_routes
from schema.database import AsyncDatabase, Database
from schema.errors import AtlasError
from schema.questions.runs import HEALTH

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider


LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
"""Names of this machine for itself, as a `Host` gives them."""


def sdl() -> str:
    """The GraphQL schema in the schema definition language: the content of `api/schema.graphql`."""
    return graphql_schema().as_str() + "\n"


def create_app(
    database: AsyncDatabase,
    *,
    limits: Limits | None = None,
    token: str | None = None,
    tracing: "TracerProvider | None" = None,
    writer: Database | None = None,
    hosts: Sequence[str] = LOOPBACK,
) -> Starlette:
    """The API as an ASGI application that reads `database`. The caller closes `database`.

    limits: None for the defaults.
    token: what requests must bring as `Authorization: Bearer …`; None: requests need no token.
    tracing: receives the spans of each query (`api.serving.tracing`); the caller shuts it down.
    writer: where mutations write; None, or no token: the API only reads.
    hosts: names of this server, which a request without a token must give as its `Host`. A page of another
    site could otherwise read the API through a name that it points at this server. `*` at the front stands
    for any subdomain.
    """
    if token is None:
        writer = None
    chosen, metrics = limits or Limits(), Metrics()
    schema, shares = graphql_schema(chosen, tracing), Shares(chosen, metrics)
    endpoint = Endpoint(database, schema, chosen, metrics, shares, token, writer)
    downloads = Downloads(database, schema, chosen, metrics, shares)
    figures = Figures(endpoint)

    async def alive(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(request: Request) -> Response:
        try:
            (row,) = await Loaders(database, chosen, metrics, shares.of("")).ask(HEALTH)
        except AtlasError as error:
            problem = {"status": "unavailable", "code": error.code, "nextStep": error.next_step}
            return JSONResponse(problem, status_code=503)
        return JSONResponse({"status": "ok", "circuits": row.circuits})

    async def prometheus(request: Request) -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return Starlette(
        routes=[
            Route("/healthz", alive),
            Route("/readyz", ready),
            Route("/metrics", prometheus),
            Route("/graphql", endpoint),
            WebSocketRoute("/graphql", endpoint),
            Route("/export", downloads),
            Route("/export/{name}", downloads),
            Route("/figures", figures),
            Route("/figures/{name}", figures),
            *console_routes(),
            *page_routes(),
            *explorer_routes(),
        ],
        exception_handlers={HTTPException: http_refusal},
        middleware=request_middleware(chosen, metrics, token, hosts if token is None else None),
    )
