"""The files that Neo4j Browser fetches from the API: `:guide …/guide.html` and `:style …/console.grass`.

Neo4j Browser 5 reads guides in HTML, with one `<slide>` for each page, and puts a clicked `pre.runnable`
into its editor. It fetches them from another origin with headers of its own, which CORS must allow. The files
say nothing about the circuits, so they need no token. By default, Neo4j Browser fetches guides from
`localhost` only.
"""

import html as markup
from importlib import resources

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from api.serving.pages import html

GUIDE, STYLE = "/guide.html", "/console.grass"


async def _guide(request: Request) -> Response:
    """The guide, with the address of the style on the same server."""
    style = markup.escape(str(request.url.replace(path=STYLE, query="")))
    return HTMLResponse(html("guide.html").replace("STYLE_ADDRESS", style))


async def _style(request: Request) -> Response:
    return PlainTextResponse(resources.files("schema").joinpath("console.grass").read_text(encoding="utf-8"))


def console_routes() -> list[BaseRoute]:
    """Routes of the guide and the style, which any origin may fetch."""
    cors = [
        Middleware(
            CORSMiddleware,
            allow_origins=["*"],
            # Neo4j Browser sends cache headers, and those of its error reporter.
            allow_headers=["*"],
            # For Chromium, `localhost` is a more private network than 127.0.0.1, where the page comes from.
            allow_private_network=True,
        )
    ]
    methods = ["GET", "OPTIONS"]
    return [
        Route(path, page, methods=methods, middleware=cors)
        for path, page in ((GUIDE, _guide), (STYLE, _style))
    ]
