"""Pages of long lists, as Relay connections. A page is read when a field of its connection is resolved."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import strawberry
from strawberry.relay import PageInfo

from api.request.batching import Info, Later, Listing
from api.request.cursors import Window, cursor_of, window
from api.request.inputs import COUNTED_BY, CountBy
from schema.questions.question import Page

Item = TypeVar("Item")
Row = TypeVar("Row")
Answer = TypeVar("Answer")

First = Annotated[
    int | None,
    strawberry.argument(
        description="Number of entries: 1 to 100, or another limit that the server sets. The default is 20."
    ),
]
After = Annotated[
    str | None,
    strawberry.argument(
        description="Cursor after which the page begins: `pageInfo.endCursor` of the page before."
    ),
]


@strawberry.type(description="An entry of a page.")
class Edge(Generic[Item]):
    cursor: str = strawberry.field(
        description="Cursor of the entry. Give it as `after` to continue after this entry."
    )
    node: Item = strawberry.field(description="The entry.")


class Read(NamedTuple, Generic[Item]):
    """A page that has been read."""

    page: Any
    """What the question answered: a `Page`, or a row type with `total` and `rows` of its own."""
    items: list[Item]
    """The entries, as GraphQL objects."""


class PageSource(NamedTuple, Generic[Item]):
    """Where the entries of a connection come from."""

    where: Window
    read: Later[Read[Item]]
    """The page; it is read when a field of the connection first awaits it."""
    listing: Listing[Any] | None
    """The list that a download streams instead; None when the list does not come from one question."""


@strawberry.type(description="A page of a longer list.")
class Connection(Generic[Item]):
    source: strawberry.Private[PageSource[Any]]

    @strawberry.field(description="Number of entries in the whole list, of which this is one page.")
    async def total_count(self) -> int:
        total: int = (await self.source.read).page.total
        return total

    @strawberry.field(
        description="Number of entries of the whole list whose influence is unknown. An order by influence "
        "does without it: these entries come last, by id, and a least influence leaves them out. Null where "
        "influence does not order the list."
    )
    async def unknown_influence(self) -> int | None:
        n_unknown: int | None = getattr((await self.source.read).page, "n_unknown", None)
        return n_unknown

    @strawberry.field(description="Place of this page in the list.")
    async def page_info(self) -> PageInfo:
        where, (page, items) = self.source.where, await self.source.read
        return PageInfo(
            has_next_page=where.skip + where.limit < page.total,
            has_previous_page=where.skip > 0,
            start_cursor=cursor_of(where.skip) if items else None,
            end_cursor=cursor_of(where.skip + len(items) - 1) if items else None,
        )

    @strawberry.field(description="The entries, each with its cursor.")
    async def edges(self) -> list[Edge[Item]]:
        skip = self.source.where.skip
        items = (await self.source.read).items
        return [Edge(cursor=cursor_of(skip + place), node=item) for place, item in enumerate(items)]

    @strawberry.field(description="The entries without cursors: the short form of `edges { node }`.")
    async def nodes(self) -> list[Item]:
        items: list[Item] = (await self.source.read).items
        return items


@strawberry.type(name="Connection", description="A page of a longer list whose entries count circuits.")
class CountedConnection(Connection[Item]):
    counted_by: CountBy = strawberry.field(description=COUNTED_BY)


def source_of(
    info: Info,
    listing: Listing[Answer],
    first: int | None,
    after: str | None,
    make: Callable[[Answer], list[Item] | Awaitable[list[Item]]],
) -> PageSource[Item]:
    """A page of a listing, for a type that extends `Connection`.

    make: from the answer of the question to the entries, or to an awaitable of them. Raises what `window`
    raises.
    """
    loaders, where = info.context.loaders, window(info.context.limits, first, after)

    async def read() -> Read[Item]:
        page = await loaders.page(listing, where.skip, where.limit)
        made = make(page)
        return Read(page, made if isinstance(made, list) else await made)

    return PageSource(where, Later(read), listing)


def connect(
    info: Info, listing: Listing[Page[Row]], first: int | None, after: str | None, make: Callable[[Row], Item]
) -> Connection[Item]:
    """A page of a listing. make: from a row to its entry. Raises what `window` raises."""
    return Connection(
        source=source_of(info, listing, first, after, lambda page: [make(row) for row in page.rows])
    )


def connect_keys(
    info: Info,
    listing: Listing[Page[str]],
    first: int | None,
    after: str | None,
    load: Callable[[Info, list[str]], Awaitable[list[Item]]],
) -> Connection[Item]:
    """A page of a listing whose rows are keys. load: from keys to their entries, such as `load_circuits`.

    Raises what `window` raises.
    """
    return Connection(source=source_of(info, listing, first, after, lambda page: load(info, page.rows)))


def connect_known(
    info: Info,
    keys: Sequence[str],
    first: int | None,
    after: str | None,
    load: Callable[[Info, list[str]], Awaitable[list[Item]]],
) -> Connection[Item]:
    """A page of a list of keys that is in memory already. Raises what `window` raises."""
    where = window(info.context.limits, first, after)

    async def read() -> Read[Item]:
        items = await load(info, list(keys[where.skip : where.skip + where.limit]))
        return Read(Page(len(keys), items), items)

    return Connection(source=PageSource(where, Later(read), None))


def connect_read(where: Window, total: int, items: list[Item]) -> Connection[Item]:
    """A page that has been read already, of a list of `total` entries."""

    async def read() -> Read[Item]:
        return Read(Page(total, items), items)

    return Connection(source=PageSource(where, Later(read), None))


class RowList(list[Item], Generic[Row, Item]):
    """A whole list, with the rows that its entries were made of. A download writes the rows."""

    def __init__(self, rows: Sequence[Row], make: Callable[[Row], Item]) -> None:
        super().__init__(make(row) for row in rows)
        self.rows = rows
