"""`GET /export/<question>.<csv|parquet|arrow|jsonl>`: the whole list that a question answers, streamed.

1. The query string becomes a GraphQL query for the list (`question_string`), so that names, defaults, checks
   and errors are those of GraphQL.
2. That query runs until it would ask the database for a page of the list: there it ends, and what it would
   have asked is kept.
3. The same Cypher is asked for the whole list instead, which comes in pieces, by columns where nothing is to
   be filled in (`schema.questions.question`), and leaves as it comes. The first piece is awaited before the
   answer begins, so that most errors are answers of their own; what fails later breaks the connection off.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from typing import Any

import strawberry
from asgi_correlation_id import correlation_id
from graphql import GraphQLError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from api.downloads.formats import FORMATS, Columns, columns_of
from api.downloads.lists import DOWNLOADS, Download, Row
from api.downloads.question_string import FieldPath
from api.questions.significance import SharingTests
from api.request.concurrency import QuerySlots, ServerBusy
from api.request.disconnect import unless_disconnected
from api.request.errors import presentable, refusal
from api.request.limits import Limits
from api.request.loaders import Context, Loaders
from api.request.metrics import Metrics
from schema.database import AsyncDatabase
from schema.errors import AtlasError, NotFoundError
from schema.questions.question import CHUNK, Question, stream_async, stream_columns
from schema.questions.sets import SHARED_FEATURES, Counts

log = logging.getLogger("atlas.api")

STATUS = {
    "NOT_FOUND": 404,
    "QUERY_TIMEOUT": 504,
    "QUERY_MEMORY": 503,
    "DATABASE_UNREACHABLE": 503,
    "DATABASE_ERROR": 500,
    "INTERNAL": 500,
}
"""Code of an error → HTTP status; 400 for the others."""


class _Asked(Exception):
    """The question that the list is a page of has been reached."""


class _Until(Loaders):
    """Answers questions up to the one that is wanted, and keeps that one."""

    at_once = False  # a download of what is not there is refused before it begins

    until: frozenset[str] = frozenset()
    """Names of the questions that end it."""
    asked: tuple[Question[Any], dict[str, object]] | None = None

    def want(self, names: frozenset[str]) -> None:
        """Nothing here: a list that is downloaded has all its columns."""

    async def ask(
        self, question: Question[Any], owner: Question[Any] | None = None, /, **parameters: object
    ) -> list[Any]:
        # A page of no entries is about the whole list: its counts, not the list.
        if question.name not in self.until or parameters.get("limit") == 0:
            return await super().ask(question, owner, **parameters)
        # What is counted beside it ends first: a query that is cut off takes its connection with it.
        await asyncio.gather(*self._running, return_exceptions=True)
        self.asked = question, {key: parameters[key] for key in parameters if key not in ("skip", "limit")}
        raise _Asked


class Downloads:
    """The endpoint."""

    def __init__(
        self,
        database: AsyncDatabase,
        schema: strawberry.Schema,
        limits: Limits,
        metrics: Metrics,
        slots: QuerySlots,
    ) -> None:
        self._database, self._schema, self._metrics, self._slots = database, schema, metrics, slots
        self._limits = replace(limits, timeout_s=limits.download_s)
        self._fields = {path: FieldPath(schema._schema, path) for path in DOWNLOADS}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        name = request.path_params.get("name")
        if name is None:
            await _listing(self._fields)(scope, receive, send)
            return
        async with AsyncExitStack() as held:
            loaders = _Until(self._database, self._limits, self._metrics)
            begun = await unless_disconnected(
                receive, self._begin(request, str(name), loaders, held), loaders.cancel
            )
            if begun is None:
                return
            response, pieces = begun
            async with aclosing(pieces):
                await response(scope, receive, send)

    async def _begin(
        self, request: Request, name: str, loaders: _Until, held: AsyncExitStack
    ) -> tuple[Response, AsyncGenerator[bytes, None]]:
        """The answer, and the generator behind it. held: holds the query's slot until the answer has left."""
        try:
            await held.enter_async_context(self._slots.slot())
            download, ending = _named(name)
            pieces = self._pieces(request, download, ending, loaders)
            first = await anext(pieces)
        except ServerBusy as error:
            return error.response(), _nothing()
        except (AtlasError, GraphQLError) as error:
            return _problem(error), _nothing()

        async def body() -> AsyncGenerator[bytes, None]:
            try:
                yield first
                async for piece in pieces:
                    yield piece
            except AtlasError:
                log.error("request %s broke off", correlation_id.get(), exc_info=True)
                raise

        headers = {"content-disposition": f'attachment; filename="{download.path}.{ending}"'}
        return StreamingResponse(body(), media_type=FORMATS[ending].media_type, headers=headers), pieces

    async def _pieces(
        self, request: Request, download: Download, ending: str, loaders: _Until
    ) -> AsyncGenerator[bytes, None]:
        schema = download.schema
        writer = FORMATS[ending].writer(schema)
        async with aclosing(self._columns(request, download, loaders)) as pieces:
            async for columns in pieces:
                if written := writer.write(columns):
                    yield written
        yield writer.end()

    async def _columns(
        self, request: Request, download: Download, loaders: _Until
    ) -> AsyncGenerator[Columns, None]:
        question, parameters = await self._question(request, download, loaders)
        if download.whole:
            every = [row._asdict() for row in await Loaders.ask(loaders, question, **parameters)]
            for start in range(0, len(every), CHUNK):
                yield columns_of(download.schema, every[start : start + CHUNK])
        elif download.plain:
            tests = await _tests(loaders, parameters) if download.tested else None
            names = list(download.plain)
            stream = stream_columns(self._database, question, names, timeout_s=loaders.left(), **parameters)
            async with aclosing(stream):
                async for columns in stream:
                    more = {} if tests is None else _significance(columns, tests)
                    yield {download.plain[name]: columns[name] for name in names} | more
        else:
            async with aclosing(self._filled_in(question, parameters, download, loaders)) as filled:
                async for rows in filled:
                    yield columns_of(download.schema, rows)

    async def _filled_in(
        self,
        question: Question[Any],
        parameters: dict[str, Any],
        download: Download,
        loaders: _Until,
    ) -> AsyncGenerator[list[Row], None]:
        """Rows with the details that the list leaves open."""
        # Each detail is asked for by itself: what came along would be kept, and counted, to the end.
        Loaders.want(loaders, frozenset())
        stream = stream_async(self._database, question, timeout_s=loaders.left(), **parameters)
        async with aclosing(stream):
            async for piece in stream:
                rows = [{"id": each} for each in piece] if download.row is None else piece
                for detail in download.details:
                    found = {
                        row.key: row._asdict()
                        for row in await Loaders.ask(
                            loaders, detail.question, keys=list(dict.fromkeys(row[detail.by] for row in rows))
                        )
                    }
                    rows = [
                        row | {detail.prefix + key: value for key, value in found[row[detail.by]].items()}
                        for row in rows
                        if row[detail.by] in found
                    ]
                yield (
                    rows
                    if download.spread is None
                    else [each for row in rows for each in download.spread(row)]
                )

    async def _question(
        self, request: Request, download: Download, loaders: _Until
    ) -> tuple[Question[Any], dict[str, object]]:
        """What GraphQL would ask the database for the list. Raises AtlasError, GraphQLError."""
        path = self._fields[download.path]
        variables = path.variables(request.query_params)
        loaders.until = frozenset(download.questions.split())
        result = await self._schema.execute(
            path.document(), variables, context_value=Context(loaders, self._limits)
        )
        if loaders.asked is not None:
            return loaders.asked
        if result.errors:
            raise result.errors[0]
        what = ", ".join(f"{name}={text[:80]}" for name, text in request.query_params.items())
        raise NotFoundError(
            f"The database has no {path.names[0]} {what}",
            next_step="compare the id with GET /export/circuits",
        )


async def _tests(loaders: Loaders, parameters: dict[str, object]) -> SharingTests:
    asked = {**parameters, "order": "support", "p": {}}
    (counts,) = await Loaders.ask(loaders, SHARED_FEATURES, **asked, skip=0, limit=0)
    return SharingTests(counts.tested, counts.n_tested)


def _significance(columns: Columns, tests: SharingTests) -> dict[str, list[float]]:
    each = [Counts(*counts) for counts in zip(*(columns[name] for name in Counts._fields), strict=True)]
    return {"p_value": [tests.p[counts] for counts in each], "q_value": [tests.q[counts] for counts in each]}


async def _nothing() -> AsyncGenerator[bytes, None]:
    return
    yield b""


def _named(name: str) -> tuple[Download, str]:
    """The list and the ending in a file's name. Raises NotFoundError."""
    path, _, ending = name.rpartition(".")
    if path not in DOWNLOADS:
        path, ending = name, ""
    if path not in DOWNLOADS:
        raise NotFoundError(
            f"There is no download {name[:80]!r}",
            next_step="GET /export lists the questions and their arguments",
        )
    if ending not in FORMATS:
        raise NotFoundError(
            f"{path} cannot be had as {ending[:20]!r}" if ending else f"{path} as what?",
            next_step="ask for " + ", ".join(f"{path}.{each}" for each in FORMATS),
        )
    return DOWNLOADS[path], ending


def _problem(error: Exception) -> Response:
    """An error before the first byte, as GraphQL answers errors but with a status of its own."""
    if not isinstance(error, GraphQLError):
        error = GraphQLError("", original_error=error)
    shown = presentable(error)
    given = shown.extensions or {}
    code = str(given.get("code"))
    return refusal(STATUS.get(code, 400), code, shown.message, str(given.get("nextStep", "see GET /export")))


def _listing(fields: dict[str, FieldPath]) -> Response:
    return JSONResponse(
        {
            "formats": {ending: each.media_type for ending, each in FORMATS.items()},
            "questions": [
                {
                    "name": path,
                    "about": fields[path].about,
                    "arguments": [each.describe() for each in fields[path].arguments.values()],
                    "columns": [
                        {"name": column.name, "type": str(column.type)} for column in download.schema
                    ],
                }
                for path, download in DOWNLOADS.items()
            ],
        }
    )
