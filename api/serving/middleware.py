"""What surrounds every request: a number, a line in the log, the counters, and the token if there is one."""

import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.request.errors import refusal
from api.request.metrics import Metrics
from api.serving.console import GUIDE, STYLE
from api.serving.secret import carries

log = logging.getLogger("atlas.access")

_REQUEST_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)
_PATHS = ("/", "/graphql", "/healthz", "/readyz", "/metrics", "/export")
_OPEN = ("/", "/healthz", "/readyz", GUIDE, STYLE)


class Watch:
    """The outermost layer of the API."""

    def __init__(self, app: ASGIApp, metrics: Metrics, token: str | None = None) -> None:
        """token: what a request must carry as `Authorization: Bearer …`; None: nothing."""
        self._app = app
        self._metrics = metrics
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            # Sockets bring their token with the first message, because browsers can set no header.
            scope["atlas.request_id"] = uuid.uuid4().hex[:12]
            await self._app(scope, receive, send)
            return
        headers, started, status = Headers(scope=scope), time.perf_counter(), 500
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex[:12]
        scope["atlas.request_id"] = request_id

        async def numbered(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        try:
            if self._may(scope, headers):
                await self._app(scope, receive, numbered)
            else:
                response = refusal(
                    401,
                    "UNAUTHORIZED",
                    "This atlas wants a token, and the request has none or another one",
                    "send the header Authorization: Bearer … with the content of the server's --token-file",
                    headers={"www-authenticate": "Bearer"},
                )
                await response(scope, receive, numbered)
        finally:
            seconds = time.perf_counter() - started
            # Paths that anybody can make up would make up as many counters.
            path = "/export" if scope["path"].startswith("/export/") else scope["path"]
            path = path if path in _PATHS else "other"
            self._metrics.requests.labels(path, str(status)).inc()
            self._metrics.request_seconds.labels(path).observe(seconds)
            fields = {
                "request": request_id,
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "ms": round(seconds * 1000, 1),
                **scope.get("atlas.fields", {}),
            }
            log.info("request", extra={"fields": fields})

    def _may(self, scope: Scope, headers: Headers) -> bool:
        """Whether the request carries the token, or wants a page that says nothing of the circuits."""
        if self._token is None or scope["path"] in _OPEN or scope["path"].startswith("/graphiql/"):
            return True
        asks = scope["method"] != "GET" or "query" in QueryParams(scope["query_string"])
        if scope["path"] == "/graphql" and not asks and "text/html" in headers.get("accept", ""):
            return True  # GraphiQL's page is open; what it asks is not.
        return carries(headers.get("authorization", ""), self._token)
