"""Compares two versions of the GraphQL schema, and lists the changes that can break a client.

    git show v0.1.0:api/schema.graphql | python -m api.changes

reads an older `schema.graphql` and compares it with the code. `make changes` takes that of the last release.
"""

import sys
from typing import NamedTuple

from graphql import GraphQLSyntaxError, build_schema, find_breaking_changes, find_dangerous_changes

from api.app import sdl
from schema.counted import counted
from schema.errors import InputError


class Changes(NamedTuple):
    """Changes between two schemas: sentences in alphabetical order."""

    breaking: list[str]
    """Changes after which a query fails that worked before, such as the removal of a field."""
    dangerous: list[str]
    """Changes after which queries still run, but a client may misread answers, such as a new enum value."""


def changes(old: str, new: str) -> Changes:
    """The changes between two schemas in the schema definition language.

    Raises InputError when one of them is not a schema.
    """
    try:
        before, after = build_schema(old), build_schema(new)
    except (GraphQLSyntaxError, TypeError) as error:
        raise InputError(
            f"This is not a GraphQL schema: {str(error).splitlines()[0]}",
            next_step="give the content of an api/schema.graphql",
        ) from error
    return Changes(
        sorted(change.description for change in find_breaking_changes(before, after)),
        sorted(change.description for change in find_dangerous_changes(before, after)),
    )


def main() -> int:
    """The exit status. 0: no breaking change; 1: a breaking change; 2: the input is not a schema."""
    try:
        found = changes(sys.stdin.read(), sdl())
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for kind, sentences in found._asdict().items():
        for sentence in sentences:
            print(f"{kind}: {sentence}")
    dangerous = counted(len(found.dangerous), "dangerous change")
    print(f"{counted(len(found.breaking), 'breaking change')} and {dangerous}")
    return 1 if found.breaking else 0


if __name__ == "__main__":
    sys.exit(main())
