"""The GraphQL schema with its extensions: limits, caches, tracing."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import strawberry
from graphql import GraphQLError
from strawberry.extensions import SchemaExtension
from strawberry.schema.exceptions import InvalidOperationTypeError
from strawberry.types import ExecutionResult
from strawberry.types.execution import ExecutionContext
from strawberry.types.graphql import OperationType

from api.mutation import Mutation
from api.mutations.jobs import Subscription
from api.query import Query
from api.request.batching import AsksForNamed
from api.request.cost import WithinCost
from api.request.errors import presentable
from api.request.limits import Limits
from api.request.query_text import prepared_texts
from api.serving.tracing import traced

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider


class _SubscriptionErrors(SchemaExtension):
    """Gives the errors of subscriptions the same form as those of queries."""

    def on_stream_result(self, result: object) -> Iterator[None]:
        if isinstance(result, ExecutionResult) and result.errors:
            result.errors = [
                presentable(
                    GraphQLError("A WebSocket takes only subscriptions: POST queries and mutations")
                    if isinstance(error.original_error, InvalidOperationTypeError)
                    else error
                )
                for error in result.errors
            ]
        yield


class _AtlasSchema(strawberry.Schema):
    async def execute(self, *given: Any, **named: Any) -> Any:
        """Allows no subscriptions: those go over a WebSocket."""
        allowed = set(named.get("allowed_operation_types") or OperationType) - {OperationType.SUBSCRIPTION}
        return await super().execute(*given, **(named | {"allowed_operation_types": allowed}))

    async def stream(self, *given: Any, **named: Any) -> Any:
        """Allows only subscriptions: over HTTP, the time and number of queries are limited."""
        named["allowed_operation_types"] = (OperationType.SUBSCRIPTION,)
        return await super().stream(*given, **named)

    def process_errors(
        self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None
    ) -> None:
        """Logs nothing: `presentable` logs the errors that need it, once."""


def graphql_schema(
    limits: Limits | None = None, tracing: "TracerProvider | None" = None
) -> strawberry.Schema:
    """The GraphQL schema with its limits on the size and cost of queries.

    limits: None for the defaults. tracing: receives the spans; None: no traces.
    """
    chosen = limits or Limits()
    extensions: list[Any] = [_SubscriptionErrors]
    if tracing is not None:
        extensions.append(traced(tracing))
    # What is refused for its cost is not executed, so the cost comes first.
    extensions += [lambda: WithinCost(chosen), prepared_texts(chosen), AsksForNamed]
    return _AtlasSchema(Query, Mutation, Subscription, extensions=extensions)
