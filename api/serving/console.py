"""What Neo4j Browser fetches from the API: `:guide …/guide.html` and `:style …/console.grass`.

Neo4j Browser 5 reads HTML guides, one `<slide>` a page, and puts a clicked `pre.runnable` into its editor. It
asks from another origin, with headers that must be allowed first, hence the CORS answers; the files are the
same for everybody and say nothing of the circuits. Its own default is to fetch from `localhost` only.
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
    """The guide; the style's address is where this one was asked for."""
    style = markup.escape(str(request.url.replace(path=STYLE, query="")))
    return HTMLResponse(html("guide.html").replace("STYLE_ADDRESS", style))


async def _style(request: Request) -> Response:
    return PlainTextResponse(resources.files("schema").joinpath("console.grass").read_text(encoding="utf-8"))


def console_routes() -> list[BaseRoute]:
    """The two files, for any origin."""
    cors = [
        Middleware(
            CORSMiddleware,
            allow_origins=["*"],
            # Its cache headers, and those of the error reporter that it carries.
            allow_headers=["*"],
            # Chromium takes `localhost` for a more private network than the page's own 127.0.0.1.
            allow_private_network=True,
        )
    ]
    methods = ["GET", "OPTIONS"]
    return [
        Route(path, page, methods=methods, middleware=cors)
        for path, page in ((GUIDE, _guide), (STYLE, _style))
    ]
