"""From the rows of a question to the fields of a GraphQL type."""

from collections.abc import Sequence
from typing import Any, NamedTuple


def columns(row: NamedTuple, *, without: Sequence[str] = ()) -> dict[str, Any]:
    """The columns of a row whose names are those of the type's fields, too."""
    return {name: value for name, value in row._asdict().items() if name != "key" and name not in without}
