"""Refuses requests for a server of another name, which a page of another site may have pointed here."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.request.errors import refusal

_TRUSTED = "atlas.trusted_host"


class TrustedHosts:
    """Starlette's check of `Host`, with a refusal in the form of the API's other errors."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        """hosts: what a request may name as its `Host`; `*` at the front stands for any subdomain."""
        self._app = app
        self._check = TrustedHostMiddleware(_mark, hosts, www_redirect=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._check(scope, receive, _unsent)
        if scope.get(_TRUSTED):
            await self._app(scope, receive, send)
            return
        host = Headers(scope=scope).get("host", "")[:100]
        response = refusal(
            400,
            "UNKNOWN_HOST",
            f"This server has no name {host!r}" if host else "The request does not name a server",
            "ask for localhost and the server's port, or start the server with `atlas serve --name NAME`",
        )
        await response(scope, receive, send)


async def _mark(scope: Scope, receive: Receive, send: Send) -> None:
    scope[_TRUSTED] = True


async def _unsent(message: Message) -> None:
    """Drops the check's own refusal."""
