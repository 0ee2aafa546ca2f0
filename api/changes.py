"""What a change of the schema breaks for those who already ask it.

    git show v0.1.0:api/schema.graphql | python -m api.changes

reads an older `schema.graphql` and compares it with the code. `make changes` does so with the last release.
"""

import sys
from typing import NamedTuple

from graphql import GraphQLSyntaxError, build_schema, find_breaking_changes, find_dangerous_changes

from api.app import sdl
from schema.errors import InputError


class Changes(NamedTuple):
    """Sentences, in alphabetical order."""

    breaking: list[str]
    """Queries that worked do so no longer, such as those with a field that is gone."""
    dangerous: list[str]
    """They still run, but a program may be surprised, such as by a new value of an enum."""


def changes(old: str, new: str) -> Changes:
    """What becomes different between two schemas in the schema definition language.

    Raises InputError when one of them is no schema.
    """
    try:
        before, after = build_schema(old), build_schema(new)
    except (GraphQLSyntaxError, TypeError) as error:
        raise InputError(
            f"This is no GraphQL schema: {str(error).splitlines()[0]}",
            next_step="give the content of an api/schema.graphql",
        ) from error
    return Changes(
        sorted(change.description for change in find_breaking_changes(before, after)),
        sorted(change.description for change in find_dangerous_changes(before, after)),
    )


def main() -> int:
    """0: nothing breaks; 1: something does; 2: the input is no schema."""
    try:
        found = changes(sys.stdin.read(), sdl())
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for kind, sentences in found._asdict().items():
        for sentence in sentences:
            print(f"{kind}: {sentence}")
    print(f"{len(found.breaking)} breaking and {len(found.dangerous)} dangerous changes")
    return 1 if found.breaking else 0


if __name__ == "__main__":
    sys.exit(main())
