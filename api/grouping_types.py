"""Groupings of a circuit's features: which there are, and which one a question is about."""

from typing import Annotated

import strawberry

from api.loaders import Info
from schema import queries


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


OfMethod = Annotated[
    str | None,
    strawberry.argument(
        description="Only of groupings of this method, see `groupings`; the first there that fits is "
        "taken. Without method and author that is the first of all: the scored one, such as that of `atlas "
        "supernodes`, that holds most influence, before one without scores. Supernodes of two groupings are "
        "never mixed; empty when none fits."
    ),
]
OfAuthor = Annotated[
    str | None,
    strawberry.argument(description="Only of groupings of this author; of people's, only this author's."),
]


async def grouping_key(
    info: Info, circuit: str, method: str | None, author: str | None
) -> tuple[str, str, str | None]:
    """Circuit, method and author (None: all) of the first grouping that fits; of none when none does."""
    for row in await info.context.loaders.many(queries.GROUPINGS_OF_CIRCUIT, circuit):
        if method in (None, row.method) and (author is None or author in row.authors):
            (one, *others) = [author] if author is not None else row.authors
            return circuit, row.method, None if others else one
    return circuit, method or "", author
