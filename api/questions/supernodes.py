"""`supernodes`: supernodes by name, over all circuits."""

from typing import Annotated

import strawberry
from strawberry import argument

from api.request.batching import Info, Listing
from api.request.connection import After, Connection, First, source_of
from api.request.inputs import checked_list, checked_text
from api.types.rows import columns
from api.types.supernode import (
    GroupingAcross,
    OfAuthor,
    OfMethodAcross,
    Supernode,
    author_of,
    first_fitting,
    load_supernodes,
)
from schema.questions.question import words_of
from schema.questions.supernodes import GROUPINGS, SUPERNODES, SupernodesRow

SupernodeName = Annotated[
    str | None,
    argument(
        description="Words of a supernode's name; each may be the beginning of a word. "
        "A name must contain all of them."
    ),
]


@strawberry.type(description="The supernodes with a name, of one grouping, in all circuits.")
class Supernodes(Connection[Supernode]):
    grouping: GroupingAcross | None = strawberry.field(
        description="The grouping that the supernodes belong to. Null when no grouping fits the arguments."
    )
    groupings: list[GroupingAcross] = strawberry.field(
        description="The groupings that have supernodes of this name, "
        "in circuits of the families if they are given. "
        "Groupings with scores come first, then those that the most circuits have."
    )

    @strawberry.field(description="Number of circuits that have at least one of these supernodes.")
    async def n_circuits(self) -> int:
        page: SupernodesRow = (await self.source.read).page
        return page.n_circuits

    @strawberry.field(
        description="Number of circuits that have this grouping, "
        "of the families if they are given: the denominator of nCircuits. "
        "Other circuits could not have these supernodes."
    )
    async def n_considered(self) -> int:
        page: SupernodesRow = (await self.source.read).page
        return page.n_grouped

    @classmethod
    async def ask(
        cls,
        info: Info,
        words: list[str],
        families: list[str] | None,
        method: str | None,
        author: str | None,
        first: int | None,
        after: str | None,
    ) -> "Supernodes":
        loaders = info.context.loaders
        rows = await loaders.ask(GROUPINGS, words=words, families=families)
        mine = first_fitting(rows, method, author)
        if mine is None and words:
            # No grouping has the name. One that could have it tells the number of circuits considered.
            could = first_fitting(await loaders.ask(GROUPINGS, words=[], families=families), method, author)
            mine = could and could._replace(n_supernodes=0, n_circuits=0)
        asked = {
            "words": words,
            "method": "" if mine is None else mine.method,
            "author": author if mine is None else author_of(mine, author),
            "families": families,
        }

        async def entries(page: SupernodesRow) -> list[Supernode]:
            return await load_supernodes(info, page.rows)

        return cls(
            grouping=None if mine is None else GroupingAcross(**columns(mine)),
            groupings=[GroupingAcross(**columns(row)) for row in rows],
            source=source_of(info, Listing(SUPERNODES, asked), first, after, entries),
        )


@strawberry.type
class SupernodesQuery:
    @strawberry.field(
        description="Supernodes (groups of features) by name, over all circuits, of one grouping. "
        "Without `method` and `author`, it is the first grouping that has the name. "
        "They are sorted by name, then by score."
    )
    async def supernodes(
        self,
        info: Info,
        label: SupernodeName = None,
        families: Annotated[
            list[str] | None,
            argument(description="Only circuits of these families. Unknown names match no circuit."),
        ] = None,
        method: OfMethodAcross = None,
        author: OfAuthor = None,
        first: First = None,
        after: After = None,
    ) -> Supernodes:
        limits = info.context.limits
        label = checked_text(limits, "label", label)
        return await Supernodes.ask(
            info,
            [] if label is None else words_of(label),
            checked_list(limits, "families", families),
            method,
            author,
            first,
            after,
        )
