"""Limits the size of a query text: characters, levels of nesting, fields and aliases.

Strawberry's own limiters are not used, because they can be made to hang the server:

- `QueryDepthLimiter` and `MaxAliasesLimiter` walk a fragment again each time that it is used. A query of
  1 000 characters whose 20 fragments each use the one before twice takes them 2 to 4 s, and each further
  fragment doubles that. They run as validation rules beside all others, so that a limit on fields does not
  protect them. `QueryDepthLimiter` also fails with a KeyError on a fragment that does not exist.
- `MaxTokensLimiter` counts tokens while it parses. The limit on characters is checked before, and bounds the
  number of tokens as well.
- No library counts fields with fragments written out.

Here each fragment is measured once, however often it is used.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValidationRule,
)
from strawberry.extensions import AddValidationRules, SchemaExtension

from api.request.limits import Limits, over_limit


class _Size(NamedTuple):
    depth: int
    """Levels of nesting; fields of the introspection do not count."""
    fields: int
    """Fields, with fragments written out."""
    aliases: int
    """Aliases, with fragments written out."""


class _Measure:
    """Measures selections of one document."""

    def __init__(self, document: DocumentNode) -> None:
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._measured: dict[str, _Size] = {}

    def __call__(self, selections: SelectionSetNode | None) -> _Size:
        depth = fields = aliases = 0
        for node in selections.selections if selections else ():
            if isinstance(node, FieldNode):
                size = self(node.selection_set)
                # Introspection is deep by nature; graphql-core has a rule of its own for it.
                below = 0 if node.name.value.startswith("__") else size.depth + 1
                size = _Size(below, size.fields + 1, size.aliases + (node.alias is not None))
            elif isinstance(node, InlineFragmentNode):
                size = self(node.selection_set)
            else:
                assert isinstance(node, FragmentSpreadNode)
                size = self._fragment(node.name.value)
            depth, fields, aliases = max(depth, size.depth), fields + size.fields, aliases + size.aliases
        return _Size(depth, fields, aliases)

    def _fragment(self, name: str) -> _Size:
        if name not in self._measured:
            self._measured[name] = _Size(0, 0, 0)  # ends a cycle, which another rule reports
            if name in self._fragments:
                self._measured[name] = self(self._fragments[name].selection_set)
        return self._measured[name]


def _size_rule(limits: Limits) -> type[ValidationRule]:
    class QuerySizeRule(ValidationRule):
        def enter_document(self, document: DocumentNode, *_: Any) -> None:
            measure = _Measure(document)
            sizes = [
                measure(node.selection_set)
                for node in document.definitions
                if isinstance(node, OperationDefinitionNode)
            ]
            depth = max((size.depth for size in sizes), default=0)
            fields = sum(size.fields for size in sizes)
            aliases = sum(size.aliases for size in sizes)
            if depth > limits.depth:
                self.report_error(
                    over_limit(
                        f"The query is {depth} levels deep; the limit is {limits.depth}",
                        "ask for the ids first, and for the deeper levels in a second query",
                    )
                )
            if fields > limits.fields:
                self.report_error(
                    over_limit(
                        f"The query asks for {fields} fields; the limit is {limits.fields}",
                        "leave out fields, or split the query",
                    )
                )
            if aliases > limits.aliases:
                self.report_error(
                    over_limit(
                        f"The query has {aliases} aliases; the limit is {limits.aliases}",
                        "split the query, or use a field that takes a list of ids",
                    )
                )

    return QuerySizeRule


class _QuerySize(AddValidationRules):
    def __init__(self, limits: Limits, rule: type[ValidationRule]) -> None:
        super().__init__([rule])
        self._limits = limits

    def on_operation(self) -> Iterator[None]:
        length = len(self.execution_context.query or "")
        if length > self._limits.document:
            raise over_limit(
                f"The query is {length} characters long; the limit is {self._limits.document}",
                "send long lists as variables, and split the query",
            )
        yield from super().on_operation()


def within_size(limits: Limits) -> Callable[[], SchemaExtension]:
    """Makes the extension that refuses query texts over the limits before they run."""
    # One rule for all requests: the cache of validated queries has the rules in its key.
    rule = _size_rule(limits)
    return lambda: _QuerySize(limits, rule)
