"""The cost of a query, estimated before the query runs: page sizes multiplied down the tree.

1. An object costs 1, a scalar 0.
2. Everything under `nodes` and `edges` of a page is multiplied by the length of the page (`first`).
3. Everything under other lists is multiplied by `LIST_LENGTH`.

The estimate is the largest number of objects in the answer, unless a list is longer than `LIST_LENGTH`. Every
answer gives it under `extensions.cost`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from graphql import (
    ExecutionResult,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLObjectType,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    get_named_type,
    get_nullable_type,
    is_list_type,
    value_from_ast_untyped,
)
from strawberry.extensions import SchemaExtension

from api.request.limits import Limits, over_limit

LIST_LENGTH = 5
"""Assumed length of a list that has no page size."""


class CostEstimate:
    """Estimates the cost of selections of one document."""

    def __init__(
        self, fragments: Mapping[str, FragmentDefinitionNode], variables: Mapping[str, Any], limits: Limits
    ) -> None:
        self._fragments = fragments
        self._variables = variables
        self._limits = limits

    def __call__(self, selections: SelectionSetNode | None, kind: GraphQLObjectType, page: int = 1) -> int:
        """The cost of the selections of an object.

        page: length of the page, when the object is a connection.
        """
        cost = 0
        for node in selections.selections if selections else ():
            if isinstance(node, FieldNode):
                cost += self._field(node, kind, page)
            elif isinstance(node, InlineFragmentNode):
                cost += self(node.selection_set, kind, page)
            elif isinstance(node, FragmentSpreadNode):
                cost += self(self._fragments[node.name.value].selection_set, kind, page)
        return cost

    def _field(self, node: FieldNode, kind: GraphQLObjectType, page: int) -> int:
        name = node.name.value
        if name.startswith("__") or name not in kind.fields or node.selection_set is None:
            return 0
        below = get_named_type(kind.fields[name].type)
        if not isinstance(below, GraphQLObjectType):
            return 0
        if "pageInfo" in below.fields:
            return 1 + self(node.selection_set, below, self._page(node))
        if "pageInfo" in kind.fields and name in ("nodes", "edges"):
            times = page
        else:
            times = LIST_LENGTH if is_list_type(get_nullable_type(kind.fields[name].type)) else 1
        return times * (1 + self(node.selection_set, below))

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
        self._cost: int | None = None

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
        if self._cost > self._limits.cost:
            error = over_limit(
                f"The query may cost {self._cost}; the limit is {self._limits.cost}",
                "ask for smaller pages (first: …) inside lists, or for less nesting",
            )
            if chosen.operation is OperationType.SUBSCRIPTION:
                raise error  # a subscription runs even when a result is set here
            context.result = ExecutionResult(data=None, errors=[error])
        yield

    def get_results(self) -> dict[str, Any]:
        if self._cost is None:
            return {}
        return {"cost": {"estimated": self._cost, "limit": self._limits.cost}}
