"""`GET /figures/NAME.svg|png|json`: the figures of `atlas figure`, drawn from the API's own answers.

1. The figure's question is asked as `POST /graphql` asks it, so limits and errors are those of GraphQL. A
   refusal and an answer with errors are passed on.
2. The answer is drawn in a thread, one figure at a time: matplotlib's settings belong to the whole process.
   Clients take turns.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
from graphql import GraphQLError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from api.request.concurrency import FairSlots, client_of
from api.request.errors import presentable, refusal
from api.serving.endpoint import Endpoint
from schema.errors import AtlasError, InputError, NotFoundError

if TYPE_CHECKING:
    from figures.chart import Chart

MEDIA_TYPES = {"svg": "image/svg+xml", "png": "image/png", "json": "application/json"}
"""Ending of a figure's address → type of the answer. `json` holds GraphQL's answer and the SVG."""


class Figures:
    """The endpoint: `/figures` lists the figures, `/figures/NAME.svg?variables={…}` is one of them."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._turns = FairSlots(1)
        self._thread = ThreadPoolExecutor(1, "figures")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        name = request.path_params.get("name")
        try:
            charts = await self._drawn("", _charts)
            if name is None:
                response: Response | None = _listing(charts)
            else:
                chart, ending = _named(str(name), charts)
                variables = _variables(request, chart)
                response = await self._figure(scope, receive, chart, ending, variables)
        except AtlasError as error:
            response = _problem(error)
        if response is not None:
            await response(scope, receive, send)

    async def _figure(
        self, scope: Scope, receive: Receive, chart: "Chart", ending: str, variables: dict[str, Any]
    ) -> Response | None:
        """The picture, or what the API says in its place; None when the client disconnected."""
        body = orjson.dumps({"query": chart.query, "variables": variables})
        answer = await self._endpoint.answer(_as_posted(scope), body, receive)
        if answer is None:
            return None
        found = orjson.loads(answer.body)
        if answer.status_code != 200 or found.get("errors"):
            return answer
        data = found["data"]
        drawn = await self._drawn(
            client_of(scope), partial(chart.png if ending == "png" else chart.svg, data)
        )
        if ending == "json":
            return JSONResponse({"data": {"answer": data, "svg": drawn}})
        return Response(drawn, media_type=MEDIA_TYPES[ending])

    async def _drawn(self, client: str, work: Callable[[], Any]) -> Any:
        """What `work` gives, in the thread of the figures."""
        async with self._turns.slot(client):
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _charts() -> "dict[str, Chart]":
    # Importing matplotlib takes half a second, and only figures need it.
    from figures.all import CHARTS

    return CHARTS


def _as_posted(scope: Scope) -> Scope:
    """The scope that the request would have as a POST with JSON to `/graphql`."""
    headers = [(key, value) for key, value in scope["headers"] if key != b"content-type"]
    json_type = (b"content-type", b"application/json")
    posted = {"method": "POST", "path": "/graphql", "query_string": b"", "headers": [*headers, json_type]}
    return {**scope, **posted}


def _named(name: str, charts: "dict[str, Chart]") -> "tuple[Chart, str]":
    """The figure and the ending in a file's name. Raises NotFoundError."""
    known, _, ending = name.rpartition(".")
    if known not in charts or ending not in MEDIA_TYPES:
        raise NotFoundError(
            f"There is no figure {name[:80]!r}",
            next_step=f"ask for NAME.{', NAME.'.join(MEDIA_TYPES)}; GET /figures lists the names",
        )
    return charts[known], ending


def _variables(request: Request, chart: "Chart") -> dict[str, Any]:
    """The variables of the figure's question. Raises InputError."""
    try:
        found = orjson.loads(request.query_params.get("variables") or "{}")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise InputError("variables is no JSON object", next_step='for example {"families": ["a"]}')
    chart.require_known(found)
    return found


def _listing(charts: "dict[str, Chart]") -> Response:
    figures = [
        {
            "name": each.name,
            "title": each.title,
            "query": each.query.strip(),
            "variables": [{"name": name, "about": about} for name, about in each.variables.items()],
        }
        for each in charts.values()
    ]
    return JSONResponse({"data": {"formats": MEDIA_TYPES, "figures": figures}})


def _problem(error: AtlasError) -> Response:
    shown = presentable(GraphQLError("", original_error=error))
    given = shown.extensions or {}
    status = 404 if isinstance(error, NotFoundError) else 400
    step = str(given.get("nextStep", "see GET /figures"))
    return refusal(status, str(given.get("code")), shown.message, step)
