"""The form in which errors leave the API: a message, a code and a next step, without internal details."""

import logging
from collections.abc import Mapping

from asgi_correlation_id import correlation_id
from graphql import GraphQLError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from schema.errors import AtlasError, DatabaseError

log = logging.getLogger("atlas.api")


def presentable(error: GraphQLError) -> GraphQLError:
    """The error with `extensions.code` and `extensions.nextStep`.

    An error that the atlas did not expect is logged in full, and the client gets only the request's id.
    """
    cause: BaseException | None = error.original_error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    # The message of a plain DatabaseError comes from the server and may quote the Cypher.
    if isinstance(cause, AtlasError) and type(cause) is not DatabaseError:
        message, code, next_step = cause.what, cause.code, cause.next_step
    elif cause is None:
        message, code = error.message, "BAD_QUERY"
        next_step = "compare the query with the schema: GraphiQL shows it under Docs"
    else:
        request_id = correlation_id.get()
        log.error("request %s failed", request_id, exc_info=cause)
        message = f"The atlas could not answer this (request {request_id})"
        code = cause.code if isinstance(cause, DatabaseError) else "INTERNAL"
        next_step = "look for the request's id in the log of `atlas serve`, and report the error"
    extensions: dict[str, object] = {"code": code}
    if next_step is not None:
        extensions["nextStep"] = next_step
    return GraphQLError(
        message,
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        extensions=extensions,
    )


async def http_refusal(request: Request, error: Exception) -> Response:
    """The answer to a request for a path or with a method that the API does not have."""
    assert isinstance(error, HTTPException)
    allowed = (error.headers or {}).get("Allow")
    if allowed is not None:
        methods = ", ".join(sorted(allowed.split(", ")))
        message, next_step = f"{request.method} is no method of this path", f"use {methods}"
    else:
        message, next_step = "There is nothing at this path", "open /, POST to /graphql, or GET /export"
    code = "NOT_FOUND" if error.status_code == 404 else "BAD_REQUEST"
    return refusal(error.status_code, code, message, next_step, error.headers)


def refusal(
    status: int, code: str, message: str, next_step: str, headers: Mapping[str, str] | None = None
) -> Response:
    """The answer to a request that is not run, in the form in which GraphQL gives errors."""
    error = {"message": message, "extensions": {"code": code, "nextStep": next_step}}
    return JSONResponse({"data": None, "errors": [error]}, status_code=status, headers=headers)
