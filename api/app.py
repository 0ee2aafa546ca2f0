"""The API over HTTP: `/graphql` (GraphiQL in a browser), `/healthz`, and a page that says where to go."""

import uuid
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson
import strawberry
from cross_web import HTTPException
from graphql import GraphQLError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.http import GraphQLHTTPResponse
from strawberry.types import ExecutionResult
from strawberry.types.execution import ExecutionContext

from api.errors import WithinLimits, presentable
from api.limits import Limits
from api.loaders import Context, Loaders
from api.query import Query
from schema.database import AsyncDatabase
from schema.errors import AtlasError
from schema.queries import HEALTH

# A package of the files of GraphiQL alone: the page works without any other server.
GRAPHIQL_PACKAGE = "graphene_django_graphiql_static"


class _Schema(strawberry.Schema):
    def process_errors(
        self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None
    ) -> None:
        """Nothing here: `presentable` logs what needs logging, once."""


def graphql_schema(limits: Limits | None = None) -> strawberry.Schema:
    """The GraphQL schema, with its limits on the size of queries."""
    chosen = limits or Limits()
    return _Schema(Query, extensions=[lambda: WithinLimits(chosen)])


def sdl() -> str:
    """The schema in the schema definition language, as `api/schema.graphql` has it."""
    return graphql_schema().as_str() + "\n"


def _html(name: str) -> str:
    return resources.files("api").joinpath("html", name).read_text(encoding="utf-8")


class _TooLarge(Exception):
    """More bytes came than a request may have."""


class _Endpoint(GraphQL[Context, None]):
    """Strawberry's endpoint with our context, limits, errors and page."""

    def __init__(self, database: AsyncDatabase, limits: Limits) -> None:
        super().__init__(graphql_schema(limits), multipart_uploads_enabled=False)
        self._database = database
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        received = 0

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limits.body:
                raise _TooLarge
            return message

        response: Response
        try:
            response = await self.run(Request(scope, bounded))
        except _TooLarge:
            response = _refusal(
                413, "OVER_LIMIT", f"The request is over {self._limits.body} bytes", "split it"
            )
        except HTTPException as error:
            response = _refusal(
                error.status_code,
                "BAD_REQUEST",
                error.reason,
                'POST {"query": "{ families { name } }"} with the header content-type: application/json',
            )
        await response(scope, receive, send)

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> Context:
        return Context(Loaders(self._database, self._limits), self._limits)

    async def process_result(self, request: Request, result: ExecutionResult) -> GraphQLHTTPResponse:
        if result.errors:
            request_id = uuid.uuid4().hex[:12]
            result.errors = [presentable(error, request_id) for error in result.errors]
        return await super().process_result(request, result)

    def decode_json(self, data: str | bytes) -> object:
        return orjson.loads(data)  # refuses broken Unicode, which the database would choke on

    def encode_json(self, data: object) -> bytes:
        return orjson.dumps(data)

    @property
    def graphql_ide_html(self) -> str:
        return _html("graphiql.html" if find_spec(GRAPHIQL_PACKAGE) else "no-graphiql.html")


def _refusal(status: int, code: str, message: str, next_step: str) -> Response:
    error = {"message": message, "extensions": {"code": code, "nextStep": next_step}}
    return JSONResponse({"data": None, "errors": [error]}, status_code=status)


def _graphiql_files() -> list[BaseRoute]:
    spec = find_spec(GRAPHIQL_PACKAGE)
    if spec is None or spec.origin is None:
        return []
    folder = Path(spec.origin).parent / "static" / GRAPHIQL_PACKAGE
    return [Mount("/graphiql", StaticFiles(directory=folder))]


def create_app(database: AsyncDatabase, *, limits: Limits | None = None) -> Starlette:
    """The API as an ASGI application that reads `database`, which stays the caller's to close."""
    chosen = limits or Limits()

    async def home(request: Request) -> Response:
        return HTMLResponse(_html("home.html"))

    async def health(request: Request) -> Response:
        try:
            (row,) = await Loaders(database, chosen).ask(HEALTH)
        except AtlasError as error:
            problem: dict[str, Any] = {
                "status": "unavailable",
                "code": error.code,
                "nextStep": error.next_step,
            }
            return JSONResponse(problem, status_code=503)
        return JSONResponse({"status": "ok", "circuits": row.circuits})

    return Starlette(
        routes=[
            Route("/", home),
            Route("/healthz", health),
            Route("/graphql", _Endpoint(database, chosen)),
            *_graphiql_files(),
        ]
    )
