"""`/graphql`: strawberry's endpoint with the atlas's context, limits, errors and page."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Annotated, Any

import msgspec
import orjson
import strawberry
from cross_web import AsyncHTTPRequestAdapter, HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.exceptions import ConnectionRejectionError
from strawberry.http import GraphQLHTTPResponse
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler
from strawberry.types import ExecutionResult
from strawberry.types.unset import UNSET, UnsetType

from api.request.batching import Context, Loaders
from api.request.concurrency import ClientShare, ServerBusy, Shares, client_of
from api.request.disconnect import unless_disconnected
from api.request.errors import presentable, refusal
from api.request.kept_lists import KeptLists
from api.request.limits import Limits, over_limit
from api.request.metrics import Metrics
from api.request.watching import JobWatch
from api.serving.bearer_token import has_token
from api.serving.pages import graphiql_page
from schema.database import AsyncDatabase, Database

LATE_S = 1.0
"""Seconds past its time limit after which a request is broken off. Questions to the database end at the
limit, and what was answered before is sent."""


class _BodyTooLarge(Exception):
    """The body of a request is over the limit."""


class _Operation(msgspec.Struct, kw_only=True):
    """What a client asks for, over HTTP or a WebSocket."""

    query: str | None = None
    variables: dict[str, Any] | None = None
    operationName: str | None = None
    extensions: dict[str, Any] | None = None


class _Subscription(_Operation, kw_only=True):
    query: Annotated[str, msgspec.Meta(min_length=1)]


class _Init(msgspec.Struct, tag="connection_init"):
    payload: dict[str, Any] = {}


class _Ping(msgspec.Struct, tag="ping"):
    pass


class _Pong(msgspec.Struct, tag="pong"):
    pass


class _Subscribe(msgspec.Struct, tag="subscribe"):
    id: str
    payload: _Subscription


class _Complete(msgspec.Struct, tag="complete"):
    id: str


class _SocketHandler(BaseGraphQLTransportWSHandler[Context, None]):
    """Closes a WebSocket, with a reason, when a message is not one of the protocol."""

    async def handle_message(self, message: Any) -> None:
        try:
            msgspec.convert(message, _Init | _Ping | _Pong | _Subscribe | _Complete)
        except msgspec.ValidationError as error:
            # A reason of a WebSocket has at most 123 bytes.
            await self.handle_invalid_message(str(error)[:100])
        else:
            await super().handle_message(message)

    async def handle_subscribe(self, message: Any) -> None:
        """Refuses a subscription above the limit in the form of all errors."""
        most = self.max_subscriptions_per_connection
        new = self.connection_acknowledged and message["id"] not in self.operations
        if new and most is not None and len(self.operations) >= most:
            error = over_limit(
                f"This WebSocket has {most} subscriptions, which is its limit",
                "complete one of them, or open another WebSocket",
            )
            payload = [presentable(error).formatted]
            await self.send_message({"id": message["id"], "type": "error", "payload": payload})
        else:
            await super().handle_subscribe(message)


class Endpoint(GraphQL[Context, None]):
    """The GraphQL endpoint of one API, for HTTP requests and WebSockets."""

    graphql_transport_ws_handler_class = _SocketHandler

    def __init__(
        self,
        database: AsyncDatabase,
        schema: strawberry.Schema,
        limits: Limits,
        metrics: Metrics,
        shares: Shares,
        token: str | None = None,
        writer: Database | None = None,
    ) -> None:
        """The endpoint.

        token: what a WebSocket must bring; None: it needs no token.
        writer: where mutations write; None: the API only reads.
        """
        super().__init__(
            schema,
            multipart_uploads_enabled=False,
            subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL,),
            connection_init_wait_timeout=timedelta(seconds=10),
            max_subscriptions_per_connection=limits.subscriptions,
        )
        self._token = token
        self._writer = writer
        self._sockets: Counter[str] = Counter()
        self._database = database
        self._limits = limits
        self._metrics = metrics
        self._shares = shares
        self._kept = KeptLists(limits.kept_bytes, limits.kept_s)
        self._jobs = JobWatch(Loaders(database, limits, metrics, shares.of("")), limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._socket(scope, receive, send)
            return
        try:
            body = await self._body(Request(scope, receive))
        except _BodyTooLarge:
            answer: Response | None = refusal(
                413, "OVER_LIMIT", f"The request is over {self._limits.body} bytes", "split it"
            )
        except TimeoutError:
            answer = refusal(
                408,
                "OVER_LIMIT",
                f"The request did not arrive within {self._limits.read_s:g} s",
                "send it again",
            )
        except ClientDisconnect:
            return
        else:
            answer = await self.answer(scope, body, receive)
        if answer is not None:
            await answer(scope, receive, send)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        client, limits = client_of(scope), self._limits
        if self._sockets.total() >= limits.sockets or self._sockets[client] >= limits.client_sockets:
            await WebSocket(scope, receive, send).close(1013)
            return
        self._sockets[client] += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._sockets[client] -= 1
            if not self._sockets[client]:
                del self._sockets[client]

    async def on_ws_connect(self, context: Context) -> UnsetType | dict[str, object] | None:
        """Refuses a WebSocket without the token.

        The token comes in the header, or as `authorization` in the first message.
        """
        first_message = {key.lower(): value for key, value in (context.connection_params or {}).items()}
        given = (context.authorization, str(first_message.get("authorization", "")))
        if self._token is not None and not any(has_token(each, self._token) for each in given):
            raise ConnectionRejectionError
        return UNSET

    async def _body(self, request: Request) -> bytes:
        parts, size = [], 0
        async with asyncio.timeout(self._limits.read_s):
            async for part in request.stream():
                parts.append(part)
                size += len(part)
                if size > self._limits.body:
                    raise _BodyTooLarge
        return b"".join(parts)

    async def answer(self, scope: Scope, body: bytes, receive: Receive) -> Response | None:
        """The answer; None when the client disconnected, and its queries to the database are cancelled."""

        async def replay() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        scope["atlas.loaders"] = loaders = self._loaders(scope)
        # Media types are written in any case, which strawberry does not know.
        scope["headers"] = [
            (name, value.lower() if name == b"content-type" else value) for name, value in scope["headers"]
        ]
        run = self._run(Request(scope, replay), loaders.share, len(body))
        return await unless_disconnected(receive, run, loaders.cancel)

    def _loaders(self, scope: Scope) -> Loaders:
        share = self._shares.of(client_of(scope))
        return Loaders(self._database, self._limits, self._metrics, share, self._kept)

    async def _run(self, request: Request, share: ClientShare, n_bytes: int) -> Response:
        try:
            with self._shares.requests.one(client_of(request.scope)):
                async with asyncio.timeout(self._limits.timeout_s + LATE_S), share.request(n_bytes):
                    return await self.run(request)
        except ServerBusy as error:
            return error.response()
        except TimeoutError:
            return refusal(
                504,
                "QUERY_TIMEOUT",
                f"The request used up its {self._limits.timeout_s:g} s",
                "ask for smaller pages (first: …) inside lists, or for less nesting",
            )
        except HTTPException as error:
            return refusal(
                error.status_code,
                "BAD_REQUEST",
                error.reason,
                'POST {"query": "{ families { name } }"} with the header content-type: application/json',
            )

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> Context:
        loaders = request.scope.get("atlas.loaders")
        return Context(
            loaders or self._loaders(request.scope),
            self._limits,
            writer=self._writer,
            jobs=self._jobs,
            authorization=request.headers.get("authorization", ""),
        )

    async def process_result(self, request: Request, result: ExecutionResult) -> GraphQLHTTPResponse:
        if result.errors:
            result.errors = [presentable(error) for error in result.errors]
            codes = [(error.extensions or {}).get("code") for error in result.errors]
            for code in codes:
                self._metrics.errors.labels(str(code)).inc()
            request.scope["atlas.fields"] = {"errors": codes[:5]}
        return await super().process_result(request, result)

    def parse_json(self, data: str | bytes) -> dict[str, Any]:
        """A JSON object; null counts as an empty one. Raises HTTPException for anything else."""
        try:
            found = self.decode_json(data)
        except ValueError as error:
            raise HTTPException(400, "Unable to parse request body as JSON") from error
        if not isinstance(found, dict | None):
            raise HTTPException(
                400, f"A request is a JSON object, and this is JSON of another kind: {data[:40]!r}"
            )
        return found or {}

    async def parse_http_body(self, request: AsyncHTTPRequestAdapter) -> Any:
        found = await super().parse_http_body(request)
        assert not isinstance(found, list), "the schema's configuration allows no lists of requests"
        asked = {"query": found.query, "variables": found.variables, "operationName": found.operation_name}
        try:
            msgspec.convert(asked, _Operation)
        except msgspec.ValidationError as error:
            raise HTTPException(400, f"The request is no GraphQL request: {error}") from error
        return found

    def decode_json(self, data: str | bytes) -> object:
        return orjson.loads(data)  # refuses broken Unicode, which the database cannot store

    def encode_json(self, data: object) -> bytes:
        return orjson.dumps(data)

    @property
    def graphql_ide_html(self) -> str:
        return graphiql_page()
