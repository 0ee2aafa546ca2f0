"""`/graphql`: strawberry's endpoint with the atlas's context, limits, errors and page."""

from datetime import timedelta

import orjson
import strawberry
from cross_web import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.exceptions import ConnectionRejectionError
from strawberry.http import GraphQLHTTPResponse
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types import ExecutionResult
from strawberry.types.unset import UNSET, UnsetType

from api.request.batching import Context, Loaders
from api.request.concurrency import QuerySlots, ServerBusy
from api.request.disconnect import unless_disconnected
from api.request.errors import presentable, refusal
from api.request.kept_lists import KeptLists
from api.request.limits import Limits
from api.request.metrics import Metrics
from api.serving.bearer_token import has_token
from api.serving.pages import graphiql_page
from schema.database import AsyncDatabase, Database


class _BodyTooLarge(Exception):
    """The body of a request is over the limit."""


class Endpoint(GraphQL[Context, None]):
    """The GraphQL endpoint of one API, for HTTP requests and WebSockets."""

    def __init__(
        self,
        database: AsyncDatabase,
        schema: strawberry.Schema,
        limits: Limits,
        metrics: Metrics,
        slots: QuerySlots,
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
        self._sockets = 0
        self._database = database
        self._limits = limits
        self._metrics = metrics
        self._slots = slots
        self._kept = KeptLists(limits.kept_bytes, limits.kept_s)

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
        except ClientDisconnect:
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
        async for part in request.stream():
            parts.append(part)
            size += len(part)
            if size > self._limits.body:
                raise _BodyTooLarge
        return b"".join(parts)

    async def _answer(self, scope: Scope, body: bytes, receive: Receive) -> Response | None:
        """The answer; None when the client disconnected, and its queries to the database are cancelled."""

        async def replay() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        scope["atlas.loaders"] = loaders = self._loaders()
        return await unless_disconnected(receive, self._run(Request(scope, replay)), loaders.cancel)

    def _loaders(self) -> Loaders:
        return Loaders(self._database, self._limits, self._metrics, self._kept)

    async def _run(self, request: Request) -> Response:
        try:
            async with self._slots.slot():
                return await self.run(request)
        except ServerBusy as error:
            return error.response()
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
            loaders or self._loaders(),
            self._limits,
            writer=self._writer,
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

    def decode_json(self, data: str | bytes) -> object:
        return orjson.loads(data)  # refuses broken Unicode, which the database cannot store

    def encode_json(self, data: object) -> bytes:
        return orjson.dumps(data)

    @property
    def graphql_ide_html(self) -> str:
        return graphiql_page()
