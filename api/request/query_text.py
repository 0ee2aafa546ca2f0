"""Parses and validates query texts: off the event loop, and once for equal texts.

Programs send the same text many times, with other variables. A text that is new is parsed, measured and
validated in a thread, one text at a time, so that the server goes on answering others.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

from cachetools import LRUCache
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    NameNode,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    execute_sync,
    get_operation_ast,
    parse,
    specified_rules,
    validate,
)
from strawberry.extensions import SchemaExtension
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule
from strawberry.types import ExecutionContext

from api.request.limits import Limits, over_limit
from api.request.query_size import META, check_size, too_deep

KEPT_CHARACTERS = 200_000
"""Characters of the texts that are kept in parsed form: of all valid texts together, and of all others."""
MOST_ERRORS = 10
"""Errors of one text that are told. An error about one value of an object quotes the whole object."""
MESSAGE_LENGTH = 1_000
"""Characters of one error that are told."""


class _Prepared(NamedTuple):
    """A text that was parsed."""

    document: DocumentNode | None
    """None when the text is refused before it is validated."""
    errors: list[GraphQLError]
    characters: int


class _Kept(LRUCache[str, _Prepared]):
    """The texts that were used last."""

    def __init__(self) -> None:
        super().__init__(KEPT_CHARACTERS, getsizeof=lambda each: each.characters)


class _QueryText(SchemaExtension):
    def __init__(self, limits: Limits, valid: _Kept, refused: _Kept) -> None:
        self._limits = limits
        self._valid = valid
        self._refused = refused

    async def on_parse(self) -> AsyncIterator[None]:
        context = self.execution_context
        text = context.query or ""
        if len(text) > self._limits.document:
            too_long = over_limit(
                f"The query is {len(text)} characters long; the limit is {self._limits.document}",
                "send long lists as variables, and split the query",
            )
            prepared: _Prepared | None = _Prepared(None, [too_long], 0)
        else:
            prepared = self._valid.get(text) or self._refused.get(text)
        if prepared is None and text:
            share = context.context.loaders.share
            prepared = await share.off_the_loop(_prepare, text, context.schema._schema, self._limits)
            (self._refused if prepared.errors else self._valid)[text] = prepared
        if prepared is not None:
            context.graphql_document = prepared.document or _stand_in(context)
            if prepared.errors:
                # An error that is raised here would not reach the client of a WebSocket.
                context.pre_execution_errors = prepared.errors
            elif prepared.document and get_operation_ast(prepared.document, context.operation_name) is None:
                name = str(context.operation_name)[:MESSAGE_LENGTH]
                context.pre_execution_errors = [GraphQLError(f"The query has no operation named '{name}'.")]
                context.graphql_document = _stand_in(context)
            else:
                context.validation_rules = ()
        yield

    async def on_execute(self) -> AsyncIterator[None]:
        """Answers a question about the schema in the thread too: its answer is long and waits for nothing."""
        context = self.execution_context
        document = context.graphql_document
        assert document is not None
        if context.result is None and asks_about_schema(document, context.operation_name):
            share = context.context.loaders.share
            context.result = await share.off_the_loop(
                execute_sync,
                context.schema._schema,
                document,
                None,
                None,
                context.variables,
                context.operation_name,
            )
        yield


def asks_about_schema(document: DocumentNode, operation: str | None) -> bool:
    """Whether the operation of this name, or the only one, asks about the schema.

    `check_size` accepts no mixture with other questions.
    """
    chosen = get_operation_ast(document, operation)
    fragments = {
        node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
    }
    todo = [chosen.selection_set] if chosen is not None else []
    while todo:
        for node in todo.pop().selections:
            if isinstance(node, FieldNode):
                if node.name.value in META:
                    return True
            elif isinstance(node, InlineFragmentNode):
                todo.append(node.selection_set)
            elif isinstance(node, FragmentSpreadNode):
                todo.append(fragments[node.name.value].selection_set)
    return False


def _stand_in(context: ExecutionContext) -> DocumentNode:
    """A query in the place of a text that is refused before it is known what it asks. It does not run."""
    allowed, operation = {each.name for each in context.allowed_operations}, context.operation_name
    kind = OperationType.QUERY if "QUERY" in allowed else OperationType.SUBSCRIPTION
    asked = SelectionSetNode(selections=(FieldNode(name=NameNode(value="__typename")),))
    name = NameNode(value=operation) if operation is not None else None
    query = OperationDefinitionNode(operation=kind, name=name, selection_set=asked)
    return DocumentNode(definitions=(query,))


def _prepare(text: str, schema: Any, limits: Limits) -> _Prepared:
    try:
        document = parse(text, max_tokens=limits.tokens)
        check_size(document, limits)
    except GraphQLError as error:
        if "tokens" in error.message:
            error = over_limit(
                f"The query has more than {limits.tokens} tokens, which is the limit",
                "send long lists as variables, and split the query",
            )
        return _Prepared(None, [error], len(text))
    except RecursionError:
        return _Prepared(None, [too_deep()], len(text))
    # Whatever a rule stumbles over is the fault of the text.
    rules = [*specified_rules, MaybeNullValidationRule, OneOfInputValidationRule]
    if not limits.introspection:
        rules.append(NoSchemaIntrospectionCustomRule)
    errors = validate(schema, document, rules, MOST_ERRORS)
    return _Prepared(
        document, [GraphQLError(_shortened(each.message), each.nodes) for each in errors], len(text)
    )


def _shortened(message: str) -> str:
    return message if len(message) <= MESSAGE_LENGTH else message[:MESSAGE_LENGTH] + " …"


def prepared_texts(limits: Limits) -> Callable[[], SchemaExtension]:
    """Makes the extension that refuses query texts over the limits, and validates the others."""
    valid, refused = _Kept(), _Kept()
    return lambda: _QueryText(limits, valid, refused)
