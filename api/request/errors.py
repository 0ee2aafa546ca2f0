"""How an error leaves the API: a message, a code and a next step, and nothing of the inside."""

import logging
from collections.abc import Iterator, Mapping

from graphql import GraphQLError, ValidationRule
from starlette.responses import JSONResponse, Response
from strawberry.extensions import AddValidationRules

from api.request.limits import Limits, over_limit
from schema.errors import AtlasError, DatabaseError

log = logging.getLogger("atlas.api")


def presentable(error: GraphQLError, request_id: str) -> GraphQLError:
    """The error with `extensions.code` and `extensions.nextStep`; unexpected ones are logged and masked."""
    cause: BaseException | None = error.original_error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    # The message of a plain DatabaseError is the server's own, and may quote the Cypher.
    if isinstance(cause, AtlasError) and type(cause) is not DatabaseError:
        message, code, next_step = cause.what, cause.code, cause.next_step
    elif cause is None:
        message, code = error.message, "BAD_QUERY"
        next_step = "compare the query with the schema: GraphiQL shows it under Docs"
    else:
        log.error("request %s failed", request_id, exc_info=cause)
        message = f"The atlas could not answer this (request {request_id})"
        code = cause.code if isinstance(cause, DatabaseError) else "INTERNAL"
        next_step = "look for the request's number in the log of `atlas serve`, and report it"
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


def refusal(
    status: int, code: str, message: str, next_step: str, headers: Mapping[str, str] | None = None
) -> Response:
    """A request that is not even run, answered as GraphQL answers errors."""
    error = {"message": message, "extensions": {"code": code, "nextStep": next_step}}
    return JSONResponse({"data": None, "errors": [error]}, status_code=status, headers=headers)


class WithinLimits(AddValidationRules):
    """Refuses query texts over the limits before they are run."""

    def __init__(self, limits: Limits, size: type[ValidationRule]) -> None:
        """size: the rule of `api.request.limits.size_rule`; the same one each time, so that what passed is
        known."""
        super().__init__([size])
        self._limits = limits

    def on_operation(self) -> Iterator[None]:
        length = len(self.execution_context.query or "")
        if length > self._limits.document:
            raise over_limit(
                f"The query is {length} characters long; the limit is {self._limits.document}",
                "send long lists as variables, and split the query",
            )
        yield from super().on_operation()
