"""What one request may ask for: the size of the query text and of the answer."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValidationRule,
)

from schema.errors import LimitError


@dataclass(frozen=True)
class Limits:
    """Every limit of the API; `create_app` takes another one."""

    depth: int = 14
    """Levels of nesting of a query."""
    fields: int = 1000
    """Fields of a query, fragments written out."""
    aliases: int = 30
    """Aliases of a query, fragments written out."""
    document: int = 20_000
    """Characters of a query."""
    body: int = 1_000_000
    """Bytes of a request."""
    page_size: int = 100
    """The most that `first` may be."""
    default_page: int = 20
    """What `first` is when left out."""
    list_length: int = 500
    """Entries of one list argument."""
    text_length: int = 2000
    """Characters of one string argument."""
    rows: int = 50_000
    """Rows that one request may read from the database."""
    cost: int = 50_000
    """Estimated cost of a query: about as many objects as its answer can have (see `cost`)."""
    running: int = 8
    """Queries and downloads that are answered at the same time."""
    waiting: int = 200
    """The most that wait for one of these to end; they are served in the order of coming."""
    sockets: int = 100
    """Sockets that are open at the same time."""
    subscriptions: int = 10
    """Subscriptions of one socket."""
    introspection: bool = True
    """Whether the schema can be asked for; GraphiQL needs it."""
    timeout_s: float = 20.0
    """Seconds that one request may spend in the database."""
    download_s: float = 300.0
    """The same for a download."""


class _Size(NamedTuple):
    depth: int
    fields: int
    aliases: int


class _Measure:
    """Sizes of selections. Each fragment is measured once, however often it is used."""

    def __init__(self, document: DocumentNode) -> None:
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._known: dict[str, _Size] = {}

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
        if name not in self._known:
            self._known[name] = _Size(0, 0, 0)  # ends a cycle, which another rule reports
            if name in self._fragments:
                self._known[name] = self(self._fragments[name].selection_set)
        return self._known[name]


def over_limit(what: str, next_step: str) -> GraphQLError:
    """A LimitError as validation reports it."""
    error = LimitError(what, next_step=next_step)
    return GraphQLError(error.what, original_error=error)


def size_rule(limits: Limits) -> type[ValidationRule]:
    """A validation rule that refuses queries that are too deep, too wide or too full of aliases."""

    class WithinLimits(ValidationRule):
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
                        "ask for the ids first, and for what lies deeper in a second query",
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

    return WithinLimits
