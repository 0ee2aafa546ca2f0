"""What a query may take, estimated before the query runs: objects, and milliseconds of the database.

1. An object costs 1, a scalar 0. A field whose question takes the database long weighs what the table of
   `api.request.weights` says; the others weigh nothing.
2. Everything under `nodes` and `edges` of a page is multiplied by the length of the page (`first`).
3. Everything under other lists is multiplied by `LIST_LENGTH`, or by `INTROSPECTED` in questions about the
schema.

The first estimate is the largest number of objects in the answer, unless a list is longer than `LIST_LENGTH`.
Every answer gives both under `extensions.cost`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from graphql import (
    ExecutionResult,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLObjectType,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SchemaMetaFieldDef,
    SelectionSetNode,
    TypeMetaFieldDef,
    get_named_type,
    get_nullable_type,
    is_list_type,
    value_from_ast_untyped,
)
from strawberry.extensions import SchemaExtension

from api.request.limits import Limits, over_limit
from api.request.weights import FIELD_MS

LIST_LENGTH = 5
"""Assumed length of a list that has no page size."""
INTROSPECTED = {"types": 350, "fields": 5}
"""Mean lengths of the long lists of the introspection. The others hold about one entry."""
_META = {"__schema": SchemaMetaFieldDef, "__type": TypeMetaFieldDef}


class Cost(NamedTuple):
    """What a query, or a part of it, may take."""

    objects: int = 0
    ms: int = 0
    """Milliseconds of the database."""

    def plus(self, other: "Cost") -> "Cost":
        return Cost(self.objects + other.objects, self.ms + other.ms)

    def times(self, number: int) -> "Cost":
        return Cost(self.objects * number, self.ms * number)


class CostEstimate:
    """Estimates the cost of selections of one document."""

    def __init__(
        self, fragments: Mapping[str, FragmentDefinitionNode], variables: Mapping[str, Any], limits: Limits
    ) -> None:
        self._fragments = fragments
        self._variables = variables
        self._limits = limits

    def __call__(self, selections: SelectionSetNode | None, kind: GraphQLObjectType, page: int = 1) -> Cost:
        """The cost of the selections of an object.

        page: length of the page, when the object is a connection.
        """
        cost = Cost()
        for node in selections.selections if selections else ():
            if isinstance(node, FieldNode):
                cost = cost.plus(self._field(node, kind, page))
            elif isinstance(node, InlineFragmentNode):
                cost = cost.plus(self(node.selection_set, kind, page))
            elif isinstance(node, FragmentSpreadNode):
                cost = cost.plus(self(self._fragments[node.name.value].selection_set, kind, page))
        return cost

    def _field(self, node: FieldNode, kind: GraphQLObjectType, page: int) -> Cost:
        name = node.name.value
        field = _META.get(name) or kind.fields.get(name)
        if field is None:
            return Cost()
        own = Cost(0, FIELD_MS.get(f"{kind.name}.{name}", 0))
        below = get_named_type(field.type)
        if not isinstance(below, GraphQLObjectType):
            return own
        if name == "ofType":
            return self(node.selection_set, below)  # few types are wrapped in others
        own = own._replace(objects=1)
        if "pageInfo" in below.fields:
            return own.plus(self(node.selection_set, below, self._page(node)))
        if "pageInfo" in kind.fields and name in ("nodes", "edges"):
            times = page
        elif is_list_type(get_nullable_type(field.type)):
            times = INTROSPECTED.get(name, 1) if kind.name.startswith("__") else LIST_LENGTH
        else:
            times = 1
        return own._replace(objects=0).plus(self(node.selection_set, below).plus(Cost(1)).times(times))

    def _page(self, node: FieldNode) -> int:
        for argument in node.arguments or ():
            if argument.name.value == "first":
                value = value_from_ast_untyped(argument.value, dict(self._variables))
                if isinstance(value, int):
                    return max(1, min(value, self._limits.page_size))
        return self._limits.default_page


class WithinCost(SchemaExtension):
    """Refuses queries over the limit of the cost, and adds the estimated cost to every answer."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._cost: Cost | None = None

    def on_execute(self) -> Iterator[None]:
        context = self.execution_context
        document = context.graphql_document
        assert document is not None
        fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
        chosen = next(
            (node for node in operations if node.name and node.name.value == context.operation_name),
            operations[0],
        )
        defaults = {
            each.variable.name.value: value_from_ast_untyped(each.default_value)
            for each in chosen.variable_definitions or ()
            if each.default_value is not None
        }
        root = context.schema._schema.get_root_type(chosen.operation)
        assert root is not None
        estimate = CostEstimate(fragments, {**defaults, **(context.variables or {})}, self._limits)
        self._cost = estimate(chosen.selection_set, root)
        error = self._refused()
        if error is not None:
            if chosen.operation is OperationType.SUBSCRIPTION:
                raise error  # a subscription runs even when a result is set here
            context.result = ExecutionResult(data=None, errors=[error])
        yield

    def _refused(self) -> GraphQLError | None:
        assert self._cost is not None
        if _more_values_than(self._limits.values, self.execution_context.variables):
            return over_limit(
                f"The variables have more than {self._limits.values} values, which is the limit",
                "send shorter lists, in several requests",
            )
        if self._cost.objects > self._limits.cost:
            return over_limit(
                f"The query may cost {self._cost.objects}; the limit is {self._limits.cost}",
                "ask for smaller pages (first: …) inside lists, or for less nesting",
            )
        if self._cost.ms > self._limits.database_ms:
            return over_limit(
                f"The query may take the database {self._cost.ms} ms; "
                f"the limit is {self._limits.database_ms}",
                "ask fewer of these questions at once",
            )
        return None

    def get_results(self) -> dict[str, Any]:
        if self._cost is None:
            return {}
        asked, limits = self._cost, self._limits
        return {
            "cost": {
                "estimated": asked.objects,
                "limit": limits.cost,
                "databaseMs": asked.ms,
                "databaseMsLimit": limits.database_ms,
            }
        }


def _more_values_than(limit: int, variables: Any) -> bool:
    """Whether JSON holds more values than the limit; what is left is not counted."""
    todo, n = [variables], 0
    while todo and n <= limit:
        value = todo.pop()
        n += 1
        if isinstance(value, dict):
            todo += value.values()
        elif isinstance(value, list):
            todo += value
    return n > limit
