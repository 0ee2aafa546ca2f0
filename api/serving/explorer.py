"""The explorer in the browser: one page under many addresses, and its files.

The page asks the public GraphQL API only. Its files say nothing about the circuits, so they need no token.
They may load nothing from another server and run no script inside the markup (`POLICY`).
"""

from importlib import resources
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route, request_response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FOLDER = Path(str(resources.files("api").joinpath("explorer")))
FILES = "/explorer"
VIEWS = (
    *("search", "circuits", "circuit", "feature", "compare", "contrast", "modules", "evidence"),
    *("request", "job"),
)
"""First parts of the addresses that `explorer/addresses.js` reads. `/` is the start."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of the page and its files."""


def is_explorer(path: str) -> bool:
    """Whether a path is the explorer's page or one of its files."""
    first = path.split("/", 2)[1] if path.startswith("/") else ""
    return path == "/" or first in VIEWS or path.startswith(f"{FILES}/")


async def _page(request: Request) -> Response:
    # Every address has the same page, whose script reads the address.
    return FileResponse(FOLDER / "index.html", headers={"cache-control": "no-cache"})


class _WithPolicy:
    """Adds the headers that every answer of the explorer has."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["content-security-policy"] = POLICY
                # Browsers ask whether a file changed, so that a new version of the atlas is seen at once.
                headers["cache-control"] = "no-cache"
            await send(message)

        await self._app(scope, receive, with_headers)


def explorer_routes() -> list[BaseRoute]:
    """Routes of the page and of its files. Put them after all other routes."""
    page = _WithPolicy(request_response(_page))
    return [
        Route("/", page),
        *(Route(f"/{view}{rest}", page) for view in VIEWS for rest in ("", "/{ids:path}")),
        Mount(FILES, _WithPolicy(StaticFiles(directory=FOLDER))),
    ]
