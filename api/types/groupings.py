"""Groupings of circuits' features: which there are, and which one a question is about."""

from collections.abc import Sequence
from typing import Annotated, Protocol, TypeVar

import strawberry

from api.request.loaders import Info
from schema.questions import core as queries


@strawberry.type(
    description="A way in which a circuit's features are grouped: the supernodes of one method and author. "
    "People change each other's supernodes, so those of all people (`person`) are one grouping."
)
class Grouping:
    method: str = strawberry.field(description="How its supernodes were made, for example `person`.")
    authors: list[str] = strawberry.field(description="Who made them, by name; several only of people.")
    n_supernodes: int = strawberry.field(description="How many supernodes.")
    n_members: int = strawberry.field(description="Feature nodes that are in any of them.")
    share: float | None = strawberry.field(
        description="Share of the influence of all the circuit's feature nodes that these members hold, 0 to "
        "1, when known."
    )


@strawberry.type(
    description="A way in which features of several circuits are grouped: the supernodes of one method and "
    "author, those of all people together."
)
class GroupingAcross:
    method: str = strawberry.field(description="How its supernodes were made, for example `person`.")
    authors: list[str] = strawberry.field(description="Who made them, by name; several only of people.")
    n_supernodes: int = strawberry.field(description="How many supernodes, of those asked for.")
    n_circuits: int = strawberry.field(description="Circuits that have any of them.")


_FIRST = (
    "Only of groupings of this method, see `groupings`; the first there that fits is taken. Without method "
    "and author that is the first of all: the scored one, such as that of `atlas supernodes`, that "
)
_ONE = ", before one without scores. Supernodes of two groupings are never mixed; empty when none fits."

OfMethod = Annotated[str | None, strawberry.argument(description=f"{_FIRST}holds most influence{_ONE}")]
OfMethodAcross = Annotated[str | None, strawberry.argument(description=f"{_FIRST}most circuits have{_ONE}")]
OfAuthor = Annotated[
    str | None,
    strawberry.argument(description="Only of groupings of this author; of people's, only this author's."),
]


class _Way(Protocol):
    @property
    def method(self) -> str: ...

    @property
    def authors(self) -> list[str]: ...


Way = TypeVar("Way", bound=_Way)


def first_fitting(rows: Sequence[Way], method: str | None, author: str | None) -> Way | None:
    """The first grouping of this method and author; None when none fits."""
    for row in rows:
        if method in (None, row.method) and (author is None or author in row.authors):
            return row
    return None


def author_of(row: _Way, author: str | None) -> str | None:
    """Whose supernodes of the grouping are meant; None: those of all its authors."""
    if author is not None:
        return author
    (one, *others) = row.authors
    return None if others else one


async def grouping_key(
    info: Info, circuit: str, method: str | None, author: str | None
) -> tuple[str, str, str | None]:
    """Circuit, method and author (None: all) of the first grouping that fits; of none when none does."""
    rows = await info.context.loaders.many(queries.GROUPINGS_OF_CIRCUIT, circuit)
    row = first_fitting(rows, method, author)
    return (circuit, method or "", author) if row is None else (circuit, row.method, author_of(row, author))
