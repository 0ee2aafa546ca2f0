"""`GET /export/<question>.<csv|parquet|arrow|jsonl>`: the whole list that a question answers, streamed.

1. The query string becomes a GraphQL query for the list (`question_string`), so that names, defaults, checks
   and errors are those of GraphQL.
2. That query runs without asking for any entry of the list. What its last field returns says what to ask: a
   connection holds its listing, a short list the rows that it was made of.
3. The listing's question is asked for the whole list, which arrives in pieces: by columns where nothing has
   to be filled in (`schema.questions.question`). Each piece leaves as it arrives. The first piece is awaited
   before the response begins, so that most errors get a response of their own. A later error breaks the
   connection.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from inspect import isawaitable
from typing import Any

import strawberry
from asgi_correlation_id import correlation_id
from graphql import (
    ExecutionResult,
    GraphQLError,
    GraphQLResolveInfo,
    MiddlewareManager,
    execute,
    parse,
)
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from api.downloads.formats import FORMATS
from api.downloads.lists import DOWNLOADS, Download, Row, label_columns
from api.downloads.question_string import FieldPath
from api.questions.significance import SharingTests
from api.request.batching import Context, Listing, Loaders
from api.request.concurrency import ServerBusy, Shares, client_of
from api.request.connection import RowList
from api.request.disconnect import unless_disconnected
from api.request.errors import presentable, refusal
from api.request.limits import Limits
from api.request.metrics import Metrics
from schema.database import AsyncDatabase
from schema.errors import AtlasError, InputError, NotFoundError
from schema.exports.arrow import Columns, columns_of
from schema.questions.labels import FIRST_LABEL_OF_FEATURE
from schema.questions.question import CHUNK, stream_async, stream_columns
from schema.questions.sets import SHARED_FEATURES, Counts

log = logging.getLogger("atlas.api")

LABELS = "labels"
"""Name of the argument that every list with features has."""
_LABELS_ARGUMENT = {
    "name": LABELS,
    "type": "Boolean",
    "about": "Whether to add the first label of each feature and the address of its page at Neuronpedia.",
    "default": False,
}
STATUS = {
    "NOT_FOUND": 404,
    "QUERY_TIMEOUT": 504,
    "QUERY_MEMORY": 503,
    "DATABASE_UNREACHABLE": 503,
    "DATABASE_ERROR": 500,
    "INTERNAL": 500,
}
"""Code of an error → HTTP status; 400 for the others."""


class Downloads:
    """The endpoint."""

    def __init__(
        self,
        database: AsyncDatabase,
        schema: strawberry.Schema,
        limits: Limits,
        metrics: Metrics,
        shares: Shares,
    ) -> None:
        self._database, self._schema, self._metrics, self._shares = database, schema, metrics, shares
        self._limits = replace(limits, timeout_s=limits.download_s)
        self._fields = {path: FieldPath(schema._schema, path) for path in DOWNLOADS}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        name = request.path_params.get("name")
        if name is None:
            await _listing(self._fields)(scope, receive, send)
            return
        async with AsyncExitStack() as held:
            share = self._shares.of(client_of(scope))
            loaders = Loaders(self._database, self._limits, self._metrics, share)
            begun = await unless_disconnected(
                receive, self._begin(request, str(name), loaders, held), loaders.cancel
            )
            if begun is None:
                return
            response, pieces = begun
            if pieces is None:
                await response(scope, receive, send)
                return
            async with aclosing(pieces), asyncio.timeout(loaders.left_s):
                await response(scope, receive, send)

    async def _begin(
        self, request: Request, name: str, loaders: Loaders, held: AsyncExitStack
    ) -> tuple[Response, AsyncGenerator[bytes, None] | None]:
        """The answer, and the generator behind it, or None behind a refusal.

        held: holds the slot until the answer has left.
        """
        try:
            client = loaders.share.client
            held.enter_context(self._shares.requests.one(client))
            download, ending = _named(name)
            async with asyncio.timeout(loaders.seconds_left()):
                await held.enter_async_context(self._shares.downloads.slot(client))
            pieces = self._pieces(request, download, ending, loaders)
            first = await anext(pieces)
        except ServerBusy as error:
            return error.response(), None
        except TimeoutError:
            return ServerBusy("The other downloads took all the time of this one").response(), None
        except (AtlasError, GraphQLError) as error:
            return _problem(error), None

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
        self, request: Request, download: Download, ending: str, loaders: Loaders
    ) -> AsyncGenerator[bytes, None]:
        labels, arguments = _labels_wanted(request.query_params, download)
        writer = FORMATS[ending].writer(download.labelled if labels else download.schema)
        async with aclosing(self._columns(arguments, download, loaders)) as pieces:
            async for columns in pieces:
                if labels:
                    columns = {**columns, **await _labels(columns, download, loaders)}
                if written := writer.write(columns):
                    yield written
        yield writer.end()

    async def _columns(
        self, arguments: QueryParams, download: Download, loaders: Loaders
    ) -> AsyncGenerator[Columns, None]:
        found = await self._list(arguments, download, loaders)
        # Each detail is looked up by itself: records that travelled with the list would be kept to the end.
        loaders.expect(frozenset())
        if isinstance(found, RowList):
            every = [row._asdict() for row in found.rows]
            for start in range(0, len(every), CHUNK):
                yield columns_of(download.schema, every[start : start + CHUNK])
            return
        if found.checked is not None:
            await found.checked
        if download.plain:
            tests = await _tests(loaders, found) if download.tested else None
            names = list(download.plain)
            stream = stream_columns(
                self._database, found.question, names, timeout_s=loaders.seconds_left(), **found.of_everything
            )
            async with aclosing(stream):
                async for columns in stream:
                    more = {} if tests is None else _significance(columns, tests)
                    yield {download.plain[name]: columns[name] for name in names} | more
        else:
            async with aclosing(self._filled_in(found, download, loaders)) as filled:
                async for rows in filled:
                    yield columns_of(download.schema, rows)

    async def _filled_in(
        self, listing: Listing[Any], download: Download, loaders: Loaders
    ) -> AsyncGenerator[list[Row], None]:
        """The rows, with the details that the list leaves open."""
        stream = stream_async(
            self._database, listing.question, timeout_s=loaders.seconds_left(), **listing.of_everything
        )
        async with aclosing(stream):
            async for piece in stream:
                rows = [{"id": each} for each in piece] if download.row is None else piece
                for detail in download.details:
                    keys = list(dict.fromkeys(row[detail.by] for row in rows))
                    found = {row.key: row._asdict() for row in await loaders.ask(detail.question, keys=keys)}
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

    async def _list(
        self, arguments: QueryParams, download: Download, loaders: Loaders
    ) -> Listing[Any] | RowList[Any, Any]:
        """What the list's field returns. Raises AtlasError, GraphQLError."""
        path = self._fields[download.path]
        variables = path.variables(arguments)
        returned: list[Any] = []

        def keep_last(
            resolve: Callable[..., Any], source: Any, info: GraphQLResolveInfo, **given: Any
        ) -> Any:
            value = resolve(source, info, **given)
            if info.path.as_list() != path.names:
                return value
            if not isawaitable(value):
                returned.append(value)
                return value

            async def awaited() -> Any:
                returned.append(await value)
                return returned[-1]

            return awaited()

        answer = execute(
            self._schema._schema,
            parse(path.document()),
            context_value=Context(loaders, self._limits),
            variable_values=variables,
            middleware=MiddlewareManager(keep_last),
        )
        result = answer if isinstance(answer, ExecutionResult) else await answer
        if result.errors:
            raise result.errors[0]
        if not returned:
            what = ", ".join(f"{name}={text[:80]}" for name, text in arguments.items())
            raise NotFoundError(
                f"The database has no {path.names[0]} {what}",
                next_step="compare the id with GET /export/circuits",
            )
        (value,) = returned
        if isinstance(value, RowList):
            return value
        listing: Listing[Any] = value.source.listing
        return listing


def _labels_wanted(query: QueryParams, download: Download) -> tuple[bool, QueryParams]:
    """Whether labels are asked for, and the other arguments. Raises InputError."""
    given = query.getlist(LABELS)
    if given and not download.features:
        return False, query  # an unknown argument, which is refused with the others
    if any(each not in ("true", "false") for each in given) or len(given) > 1:
        raise InputError(f"{LABELS}={', '.join(given)[:80]!r} is no Boolean", next_step="give true or false")
    return given == ["true"], QueryParams([pair for pair in query.multi_items() if pair[0] != LABELS])


async def _labels(columns: Columns, download: Download, loaders: Loaders) -> dict[str, list[str | None]]:
    """The columns that `labels=true` adds."""
    keys = {key: None for column in download.features for key in columns[column] if key is not None}
    rows = {row.key: row for row in await loaders.ask(FIRST_LABEL_OF_FEATURE, keys=list(keys))}
    added: dict[str, list[str | None]] = {}
    for column in download.features:
        found = [rows.get(key) for key in columns[column]]
        label, url = label_columns(column)
        added[label] = [None if row is None else row.label for row in found]
        added[url] = [None if row is None else row.url for row in found]
    return added


async def _tests(loaders: Loaders, listing: Listing[Any]) -> SharingTests:
    asked = {**listing.of_everything, "order": "support", "p": {}}
    (counts,) = await loaders.ask(SHARED_FEATURES, **asked, skip=0, limit=0)
    return SharingTests(counts.tested, counts.n_tested)


def _significance(columns: Columns, tests: SharingTests) -> dict[str, list[float]]:
    each = [Counts(*counts) for counts in zip(*(columns[name] for name in Counts._fields), strict=True)]
    return {"p_value": [tests.p[counts] for counts in each], "q_value": [tests.q[counts] for counts in each]}


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
                    "arguments": [each.describe() for each in fields[path].arguments.values()]
                    + ([_LABELS_ARGUMENT] if download.features else []),
                    "columns": [
                        {"name": column.name, "type": str(column.type)} for column in download.schema
                    ],
                }
                for path, download in DOWNLOADS.items()
            ],
        }
    )
