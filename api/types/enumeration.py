"""Enumerations of `schema` as GraphQL enumerations."""

from enum import Enum
from typing import cast

import strawberry
from strawberry.types.enum import StrawberryEnumDefinition


def described(enumeration: type[Enum], description: str, **values: str) -> None:
    """Makes an enumeration a GraphQL type. values: the description of each value, by its name.

    `strawberry.enum_value` would do this in the enumeration itself, but `schema` knows nothing of GraphQL.
    """
    strawberry.enum(enumeration, description=description)
    # strawberry puts the definition on the class.
    definition = cast(StrawberryEnumDefinition, vars(enumeration)["__strawberry_definition__"])
    for value in definition.values:
        value.description = values[value.name]
