"""Middleware of every request: its id, a line in the log, the counters, and the check of the token."""

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Sequence

from asgi_correlation_id import CorrelationIdMiddleware, correlation_id
from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from strawberry.http.websocket_origin import is_same_origin

from api.request.errors import refusal
from api.request.limits import Limits
from api.request.metrics import Metrics
from api.serving.bearer_token import has_token
from api.serving.console import GUIDE, STYLE
from api.serving.explorer import is_explorer
from api.serving.trusted_hosts import TrustedHosts

log = logging.getLogger("atlas.access")

_REQUEST_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)
_COUNTED_PATHS = ("/", "/graphql", "/healthz", "/readyz", "/metrics", "/export", "/figures")
_FOLDERS = ("/export", "/figures")
_OPEN_PATHS = ("/healthz", "/readyz", GUIDE, STYLE)
_OPEN_FOLDERS = ("/graphiql/", "/pages/")
SECURITY_HEADERS = {
    # No script but the files of this server; GraphiQL writes styles of its own.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}
"""Headers of every answer."""


def request_middleware(
    limits: Limits, metrics: Metrics, token: str | None, hosts: Sequence[str] | None
) -> list[Middleware]:
    """The middleware of the API, the outermost first.

    hosts: what a request may name as its `Host`; None: anything.

    A request's id is the header `X-Request-ID` that it brings, or else 12 random hexadecimal digits.
    The answer repeats the id in the same header. `asgi_correlation_id.correlation_id` holds it meanwhile.
    """
    return [
        Middleware(
            CorrelationIdMiddleware,
            header_name="X-Request-ID",
            update_request_header=False,
            generator=lambda: uuid.uuid4().hex[:12],
            # The id is written to logs and answers, so it may not hold everything that a header may.
            validator=lambda given: _REQUEST_ID.fullmatch(given) is not None,
        ),
        Middleware(RequestMiddleware, limits, metrics, token),
        *([] if hosts is None else [Middleware(TrustedHosts, hosts)]),
    ]


def _from_elsewhere(scope: Scope) -> bool:
    """Whether a browser says that a page of another site sends the request. Pages may be read from
    anywhere."""
    headers = Headers(scope=scope)
    origin = headers.get("origin")
    if scope["method"] in ("GET", "HEAD", "OPTIONS") or origin is None:
        return False
    return not is_same_origin(origin, headers.get("host"))


class RequestMiddleware:
    """Checks the token of each HTTP request, counts the request and writes its line in the log."""

    def __init__(self, app: ASGIApp, limits: Limits, metrics: Metrics, token: str | None = None) -> None:
        """token: what a request must bring as `Authorization: Bearer …`; None: requests need no token."""
        self._app = app
        self._limits = limits
        self._metrics = metrics
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            # A WebSocket brings its token with the first message, because browsers can set no header.
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def watched_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)  # the explorer's policy is stricter
            # A client that reads nothing may not hold what its answer holds.
            async with asyncio.timeout(self._limits.write_s):
                await send(message)

        try:
            if _from_elsewhere(scope):
                response = refusal(
                    403,
                    "FORBIDDEN_ORIGIN",
                    "A page of another site sent this request",
                    "send it from a page of this server, or from a program",
                )
                await response(scope, receive, watched_send)
            elif self._may_pass(scope):
                await self._app(scope, receive, watched_send)
            else:
                response = refusal(
                    401,
                    "UNAUTHORIZED",
                    "This atlas needs a token, and the request has no token or a wrong one",
                    "send the header Authorization: Bearer … with the content of the server's --token-file",
                    headers={"www-authenticate": "Bearer"},
                )
                await response(scope, receive, watched_send)
        finally:
            self._record(scope, status, time.perf_counter() - started)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        # Clients can invent any number of paths; each would become a counter of its own.
        path = next((each for each in _FOLDERS if scope["path"].startswith(f"{each}/")), scope["path"])
        path = path if path in _COUNTED_PATHS else "other"
        self._metrics.requests.labels(path, str(status)).inc()
        self._metrics.request_seconds.labels(path).observe(seconds)
        fields = {
            "request": correlation_id.get(),
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "ms": round(seconds * 1000, 1),
            **scope.get("atlas.fields", {}),
        }
        log.info("request", extra={"fields": fields})

    def _may_pass(self, scope: Scope) -> bool:
        """Whether the request brings the token, or asks for a page that says nothing about the circuits."""
        path = scope["path"]
        if self._token is None or path in _OPEN_PATHS or path.startswith(_OPEN_FOLDERS) or is_explorer(path):
            return True
        headers = Headers(scope=scope)
        has_query = scope["method"] != "GET" or "query" in QueryParams(scope["query_string"])
        if scope["path"] == "/graphql" and not has_query and "text/html" in headers.get("accept", ""):
            return True  # GraphiQL's page is open; the queries that it sends are not.
        return has_token(headers.get("authorization", ""), self._token)
