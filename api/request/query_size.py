"""Limits the size of a query text: characters, tokens, nesting, fields, aliases, and pairs of fields with one
name in one place.

The text is measured in one pass before graphql-core validates it, because some rules of the validation take
time that grows with the square of the text. Strawberry's own limiters run among these rules, or walk a
fragment again each time that it is used: a query of 1 000 characters whose 20 fragments each use the one
before twice takes them 2 to 4 s. Here each fragment is measured once, and it is written out only when it is
known that it can be.
"""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    Node,
    OperationDefinitionNode,
    SelectionSetNode,
)

from api.request.limits import Limits, over_limit

META = {"__schema", "__type"}
"""Root fields of questions about the schema itself."""
LEVELS = 60
"""Levels of selections, fragments included, and half of the levels of the syntax. What reads a query calls
itself once or twice for each level."""


class _Size(NamedTuple):
    depth: int
    """Levels of nesting; fields of the introspection do not count."""
    fields: int
    """Fields and uses of fragments, with fragments written out."""
    aliases: int
    """Aliases, with fragments written out."""
    levels: int
    """Levels of nesting, with fragments and fields of the introspection."""


class _Measure:
    """Measures selections of one document."""

    def __init__(self, document: DocumentNode) -> None:
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._measured: dict[str, _Size | None] = {}

    def __call__(self, selections: SelectionSetNode | None) -> _Size:
        """The size of these selections. Raises GraphQLError for a fragment that is unknown or uses itself."""
        depth = number = aliases = levels = 0
        for node in selections.selections if selections else ():
            if isinstance(node, FieldNode):
                size = self(node.selection_set)
                # Introspection is deep by nature; graphql-core has a rule of its own for it.
                below = 0 if node.name.value.startswith("__") else size.depth + 1
                size = _Size(below, size.fields + 1, size.aliases + (node.alias is not None), size.levels)
            elif isinstance(node, InlineFragmentNode):
                size = self(node.selection_set)
                size = size._replace(fields=size.fields + 1)
            else:
                assert isinstance(node, FragmentSpreadNode)
                size = self._fragment(node)
                size = size._replace(fields=size.fields + 1)
            depth, number, aliases = max(depth, size.depth), number + size.fields, aliases + size.aliases
            levels = max(levels, size.levels + 1)
        return _Size(depth, number, aliases, levels)

    def _fragment(self, spread: FragmentSpreadNode) -> _Size:
        name = spread.name.value
        if name not in self._measured:
            if name not in self._fragments:
                raise GraphQLError(f"Unknown fragment '{name}'.", spread)
            self._measured[name] = None
            self._measured[name] = self(self._fragments[name].selection_set)
        size = self._measured[name]
        if size is None:
            raise GraphQLError(f"Cannot spread fragment '{name}' within itself.", spread)
        return size

    def unused(self) -> FragmentDefinitionNode | None:
        """A fragment that nothing measured so far uses."""
        return next((node for name, node in self._fragments.items() if name not in self._measured), None)

    def pairs(self, sets: list[SelectionSetNode]) -> int:
        """Pairs of fields with one name in one place, which the validation compares with each other."""
        named: dict[str, list[FieldNode]] = {}
        for chosen in sets:
            for field in self.fields(chosen):
                named.setdefault((field.alias or field.name).value, []).append(field)
        return sum(
            len(fields) * (len(fields) - 1) // 2
            + self.pairs([field.selection_set for field in fields if field.selection_set])
            for fields in named.values()
        )

    def fields(self, chosen: SelectionSetNode) -> Iterator[FieldNode]:
        """The fields of selections, with fragments written out."""
        for node in chosen.selections:
            if isinstance(node, FieldNode):
                yield node
            elif isinstance(node, InlineFragmentNode):
                yield from self.fields(node.selection_set)
            else:
                assert isinstance(node, FragmentSpreadNode)
                yield from self.fields(self._fragments[node.name.value].selection_set)


def check_size(document: DocumentNode, limits: Limits) -> None:
    """Raises GraphQLError when the query is larger than the limits, or when its size cannot be told.

    The time grows with the length of the text and with `limits.fields`, and no faster.
    """
    measure = _Measure(document)
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    sizes = [measure(node.selection_set) for node in operations]
    depth = max((size.depth for size in sizes), default=0)
    number = sum(size.fields for size in sizes)
    aliases = sum(size.aliases for size in sizes)
    if max((size.levels for size in sizes), default=0) > LEVELS or _levels(document) > 2 * LEVELS:
        raise too_deep()
    if depth > limits.depth:
        raise over_limit(
            f"The query is {depth} levels deep; the limit is {limits.depth}",
            "ask for the ids first, and for the deeper levels in a second query",
        )
    if number > limits.fields:
        raise over_limit(
            f"The query has {number} fields and fragments; the limit is {limits.fields}",
            "leave out fields, or split the query",
        )
    if aliases > limits.aliases:
        raise over_limit(
            f"The query has {aliases} aliases; the limit is {limits.aliases}",
            "split the query, or use a field that takes a list of ids",
        )
    if (unused := measure.unused()) is not None:
        raise GraphQLError(f"Fragment '{unused.name.value}' is never used.", unused)
    pairs = sum(measure.pairs([node.selection_set]) for node in operations)
    if pairs > limits.pairs:
        raise over_limit(
            f"The query names fields again in {pairs} pairs; the limit is {limits.pairs}",
            "name each field once in each place",
        )
    for node in operations:
        asked = {field.name.value for field in measure.fields(node.selection_set)}
        if asked & META and asked - META - {"__typename"}:
            raise GraphQLError("A question about the schema stands beside other questions.", node)
    twice = Counter(node.name.value for node in operations if node.name)
    if repeated := next((name for name, n in twice.items() if n > 1), None):
        raise GraphQLError(f"There can be only one operation named '{repeated}'.")


def too_deep() -> GraphQLError:
    """The error of a text that is nested deeper than anybody needs."""
    return over_limit(
        f"The query nests fragments or values in more than {LEVELS} levels, which is the limit",
        "send values as variables, and write fragments that do not use each other",
    )


def _levels(document: DocumentNode) -> int:
    """Levels of nodes of the syntax, without writing fragments out. A field with fields has two."""
    deepest = 0
    todo: list[tuple[int, Node]] = [(1, node) for node in document.definitions]
    while todo:
        level, node = todo.pop()
        deepest = max(deepest, level)
        for key in node.keys:
            below = getattr(node, key)
            for each in below if isinstance(below, tuple) else (below,):
                if isinstance(each, Node):
                    todo.append((level + 1, each))
    return deepest
