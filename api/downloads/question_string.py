"""The arguments of a field of the GraphQL schema, as the query string of a download.

`contrast.features` is the field `features` of what the field `contrast` answers; it takes the arguments of
both. A field of an input object is written with a dot: `positive.tags=refuse`. A list repeats its name.
"""

from dataclasses import dataclass
from typing import Any, cast

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    Undefined,
    get_named_type,
    get_nullable_type,
    is_list_type,
)
from starlette.datastructures import QueryParams

from schema.errors import InputError

PAGING = ("first", "after")


@dataclass(frozen=True)
class Argument:
    """One name of the query string."""

    name: str
    type: GraphQLInputType
    required: bool
    default: object
    about: str

    def describe(self) -> dict[str, Any]:
        """As `GET /export` lists it."""
        named = get_named_type(self.type)
        shown: dict[str, Any] = {"name": self.name, "type": named.name, "about": self.about}
        if is_list_type(get_nullable_type(self.type)):
            shown["repeat"] = True
        if isinstance(named, GraphQLEnumType):
            shown["values"] = list(named.values)
        if self.required:
            shown["required"] = True
        if self.default is not None:
            shown["default"] = self.default
        return shown

    def value(self, texts: list[str]) -> object:
        """What the texts mean. Raises InputError."""
        if is_list_type(get_nullable_type(self.type)):
            return [self._one(text) for text in texts]
        if len(texts) > 1:
            raise InputError(f"{self.name} is given {len(texts)} times", next_step="give it once")
        return self._one(texts[0])

    def _one(self, text: str) -> object:
        name = get_named_type(self.type).name
        try:
            if name == "Int":
                return int(text)
            if name == "Float":
                return float(text)
            if name == "Boolean":
                return {"true": True, "false": False}[text]
        except (ValueError, KeyError):
            example = {"Int": "2", "Float": "0.5", "Boolean": "true or false"}[name]
            raise InputError(
                f"{self.name}={text[:80]!r} is no {name}", next_step=f"for example {example}"
            ) from None
        return text


class FieldPath:
    """A list of the schema, and the fields on the way to it."""

    def __init__(self, schema: GraphQLSchema, path: str) -> None:
        self.path = path
        self.names = path.split(".")
        self.fields: list[GraphQLField] = []
        assert schema.query_type is not None
        level = schema.query_type
        for name in self.names:
            self.fields.append(level.fields[name])
            level = cast(GraphQLObjectType, get_named_type(self.fields[-1].type))
        self.arguments = {
            argument.name: argument
            for field in self.fields
            for name, taken in field.args.items()
            if name not in PAGING
            for argument in _flat(name, taken)
        }

    @property
    def about(self) -> str:
        return self.fields[-1].description or ""

    def document(self) -> str:
        """A query that asks for the list with a variable for each argument."""
        variables, body = [], "__typename"
        for name, field in reversed(list(zip(self.names, self.fields, strict=True))):
            args = [each for each in field.args if each not in PAGING]
            variables += [f"${each}: {_variable(field.args[each])}" for each in args]
            given = ", ".join(f"{each}: ${each}" for each in args)
            body = f"{name}{f'({given})' if given else ''} {{ {body} }}"
        head = f"({', '.join(variables)})" if variables else ""
        return f"query {head} {{ {body} }}"

    def variables(self, query: QueryParams) -> dict[str, Any]:
        """The variables that a query string gives; what it leaves out has its default.

        Raises InputError for a name that is no argument or a value that does not fit.
        """
        values: dict[str, Any] = {}
        for key in dict.fromkeys(query.keys()):
            argument = self.arguments.get(key)
            if argument is None:
                known = ", ".join(self.arguments) or "no arguments"
                raise InputError(
                    f"{self.path} has no argument {key[:80]!r}",
                    next_step=f"it takes {known}; see GET /export",
                )
            *parents, leaf = key.split(".")
            level = values
            for parent in parents:
                level = level.setdefault(parent, {})
            level[leaf] = argument.value(query.getlist(key))
        for name, argument in self.arguments.items():
            if (
                argument.required
                and name not in query
                and ("." not in name or name.partition(".")[0] in values)
            ):
                raise InputError(
                    f"{self.path} needs {name}", next_step=f"add {name}=… to the address; see GET /export"
                )
        for field in self.fields:
            for name, taken in field.args.items():
                if isinstance(taken.type, GraphQLNonNull) and taken.default_value is Undefined:
                    values.setdefault(name, {})  # an input object of which nothing was given
        return values


def _variable(taken: GraphQLArgument) -> GraphQLInputType:
    """The type of the variable for an argument: it may be left out when the argument has a default."""
    if taken.default_value is Undefined:
        return taken.type
    return cast(GraphQLInputType, get_nullable_type(taken.type))


def _flat(name: str, taken: GraphQLArgument | Any) -> list[Argument]:
    named = get_named_type(taken.type)
    if isinstance(named, GraphQLInputObjectType):
        return [each for field, inner in named.fields.items() for each in _flat(f"{name}.{field}", inner)]
    default = None if taken.default_value is Undefined else taken.default_value
    if isinstance(named, GraphQLEnumType) and default is not None:
        default = next((key for key, value in named.values.items() if value.value == default), default)
        default = getattr(default, "name", default)
    required = isinstance(taken.type, GraphQLNonNull) and taken.default_value is Undefined
    return [Argument(name, taken.type, required, default, taken.description or "")]
