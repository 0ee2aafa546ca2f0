"""`/graphql`: strawberry's endpoint with our context, limits, errors and page."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from importlib import resources
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import orjson
import strawberry
from cross_web import HTTPException
from graphql import GraphQLError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.exceptions import ConnectionRejectionError
from strawberry.extensions import DisableIntrospection, ParserCache, SchemaExtension, ValidationCache
from strawberry.http import GraphQLHTTPResponse
from strawberry.schema.exceptions import InvalidOperationTypeError
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types import ExecutionResult
from strawberry.types.execution import ExecutionContext
from strawberry.types.graphql import OperationType
from strawberry.types.unset import UNSET, UnsetType

from api.mutation import Mutation
from api.mutations.jobs import Subscription
from api.query import Query
from api.request.concurrency import NoRoom, Seats
from api.request.cost import WithinCost
from api.request.errors import WithinLimits, presentable, refusal
from api.request.limits import Limits, size_rule
from api.request.loaders import Context, Loaders
from api.request.metrics import Metrics
from api.request.prefetch import AsksForNamed
from api.serving.secret import carries
from api.serving.tracing import traced
from schema.database import AsyncDatabase, Database

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

# A package of the files of GraphiQL alone: the page works without any other server.
GRAPHIQL_PACKAGE = "graphene_django_graphiql_static"


class _Told(SchemaExtension):
    """What a subscription tells of errors is what an answer tells of them."""

    def on_stream_result(self, result: object) -> Iterator[None]:
        if isinstance(result, ExecutionResult) and result.errors:
            request_id = self.execution_context.context.request_id
            result.errors = [
                presentable(
                    GraphQLError("Only subscriptions go over a socket: POST queries and mutations")
                    if isinstance(error.original_error, InvalidOperationTypeError)
                    else error,
                    request_id,
                )
                for error in result.errors
            ]
        yield


class _Schema(strawberry.Schema):
    async def stream(self, *given: Any, **named: Any) -> Any:
        """Subscriptions only: what has one answer goes over HTTP, where its time and number are limited."""
        named["allowed_operation_types"] = (OperationType.SUBSCRIPTION,)
        return await super().stream(*given, **named)

    def process_errors(
        self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None
    ) -> None:
        """Nothing here: `presentable` logs what needs logging, once."""


def graphql_schema(
    limits: Limits | None = None, tracing: "TracerProvider | None" = None
) -> strawberry.Schema:
    """The GraphQL schema, with its limits on the size and cost of queries. tracing: who gets the spans."""
    chosen = limits or Limits()
    rule = size_rule(chosen)
    hidden = [] if chosen.introspection else [DisableIntrospection]
    # Scripts ask the same text again and again, with other variables.
    known = [ParserCache, ValidationCache]
    limited = [lambda: WithinLimits(chosen, rule), lambda: WithinCost(chosen)]
    spans = [] if tracing is None else [traced(tracing)]
    extensions = [_Told, *spans, *limited, AsksForNamed, *hidden, *known]
    return _Schema(Query, Mutation, Subscription, extensions=extensions)


def html(name: str) -> str:
    """A page of ours."""
    return resources.files("api.serving").joinpath("html", name).read_text(encoding="utf-8")


class _TooLarge(Exception):
    """More bytes came than a request may have."""


class _Gone(Exception):
    """The client went away before it had sent its request."""


class Endpoint(GraphQL[Context, None]):
    """The GraphQL endpoint of one API."""

    def __init__(
        self,
        database: AsyncDatabase,
        schema: strawberry.Schema,
        limits: Limits,
        metrics: Metrics,
        seats: Seats,
        token: str | None = None,
        writer: Database | None = None,
    ) -> None:
        """token: what sockets must bring; writer: where mutations write, None: nobody may."""
        super().__init__(
            schema,
            multipart_uploads_enabled=False,
            subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL,),
            connection_init_wait_timeout=timedelta(seconds=10),
            max_subscriptions_per_connection=limits.subscriptions,
        )
        self._token = token
        self._writer = writer
        self._sockets = 0
        self._database = database
        self._limits = limits
        self._metrics = metrics
        self._seats = seats

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._socket(scope, receive, send)
            return
        try:
            body = await self._body(receive)
        except _TooLarge:
            answer: Response | None = refusal(
                413, "OVER_LIMIT", f"The request is over {self._limits.body} bytes", "split it"
            )
        except _Gone:
            return
        else:
            answer = await self._answer(scope, body, receive)
        if answer is not None:
            await answer(scope, receive, send)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._sockets >= self._limits.sockets:
            await WebSocket(scope, receive, send).close(1013)
            return
        self._sockets += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._sockets -= 1

    async def on_ws_connect(self, context: Context) -> UnsetType | dict[str, object] | None:
        """Refuses sockets without the token: in the header, or as `authorization` in the first message."""
        given = {key.lower(): value for key, value in (context.connection_params or {}).items()}
        said = (context.authorization, str(given.get("authorization", "")))
        if self._token is not None and not any(carries(each, self._token) for each in said):
            raise ConnectionRejectionError
        return UNSET

    async def _body(self, receive: Receive) -> bytes:
        parts, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _Gone
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._limits.body:
                raise _TooLarge
            more = message.get("more_body", False)
        return b"".join(parts)

    async def _answer(self, scope: Scope, body: bytes, receive: Receive) -> Response | None:
        """The answer; None when the client went away: its queries to the database are cancelled."""

        async def replay() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def gone() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        scope["atlas.loaders"] = loaders = Loaders(self._database, self._limits, self._metrics)
        work, left = asyncio.ensure_future(self._run(Request(scope, replay))), asyncio.ensure_future(gone())
        try:
            await asyncio.wait((work, left), return_when=asyncio.FIRST_COMPLETED)
            return work.result() if work.done() else None
        finally:
            for task in (work, left):
                task.cancel()
            loaders.cancel()
            await asyncio.gather(work, left, return_exceptions=True)

    async def _run(self, request: Request) -> Response:
        try:
            async with self._seats.seat():
                return await self.run(request)
        except NoRoom as error:
            return error.response()
        except HTTPException as error:
            return refusal(
                error.status_code,
                "BAD_REQUEST",
                error.reason,
                'POST {"query": "{ families { name } }"} with the header content-type: application/json',
            )

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> Context:
        known = request.scope.get("atlas.loaders")
        return Context(
            known or Loaders(self._database, self._limits, self._metrics),
            self._limits,
            writer=self._writer,
            request_id=request.scope["atlas.request_id"],
            authorization=request.headers.get("authorization", ""),
        )

    async def process_result(self, request: Request, result: ExecutionResult) -> GraphQLHTTPResponse:
        if result.errors:
            result.errors = [presentable(error, request.scope["atlas.request_id"]) for error in result.errors]
            for error in result.errors:
                self._metrics.errors.labels(str((error.extensions or {}).get("code"))).inc()
            request.scope["atlas.fields"] = {
                "errors": [(error.extensions or {}).get("code") for error in result.errors[:5]]
            }
        return await super().process_result(request, result)

    def decode_json(self, data: str | bytes) -> object:
        return orjson.loads(data)  # refuses broken Unicode, which the database would choke on

    def encode_json(self, data: object) -> bytes:
        return orjson.dumps(data)

    @property
    def graphql_ide_html(self) -> str:
        return html("graphiql.html" if find_spec(GRAPHIQL_PACKAGE) else "no-graphiql.html")
