"""Pages of long lists, as Relay connections: opaque cursors over a stable order, and a bounded page size."""

import base64
import re
from typing import Annotated, Generic, NamedTuple, TypeVar

import strawberry
from strawberry.relay import PageInfo

from api.request.limits import Limits
from schema.errors import InputError, LimitError

Item = TypeVar("Item")

First = Annotated[
    int | None,
    strawberry.argument(
        description="How many entries: 1 to 100 (or what the server allows); 20 when left out."
    ),
]
After = Annotated[
    str | None,
    strawberry.argument(description="Continue after this cursor: `pageInfo.endCursor` of the page before."),
]


@strawberry.type(description="An entry of a page.")
class Edge(Generic[Item]):
    cursor: str = strawberry.field(description="Give it as `after` to continue behind this entry.")
    node: Item = strawberry.field(description="The entry itself.")


@strawberry.type(description="A page of a longer list.")
class Connection(Generic[Item]):
    total_count: int = strawberry.field(description="Length of the whole list, of which this is one page.")
    page_info: PageInfo = strawberry.field(description="Where this page lies in the list.")
    edges: list[Edge[Item]] = strawberry.field(description="The entries, each with its cursor.")
    nodes: list[Item] = strawberry.field(description="The entries alone: the short form of `edges { node }`.")


class Window(NamedTuple):
    """Which stretch of a list is asked for."""

    skip: int
    limit: int


def _cursor(place: int) -> str:
    return base64.urlsafe_b64encode(f"place:{place}".encode()).decode()


def _place(cursor: str) -> int:
    try:
        match = re.fullmatch(r"place:(\d{1,9})", base64.urlsafe_b64decode(cursor.encode()).decode())
    except ValueError:
        match = None
    if match is None:
        raise InputError(
            f"after: {cursor[:80]!r} is not a cursor of this API",
            next_step="give `pageInfo.endCursor` of the page before, or leave `after` out for the first page",
        )
    return int(match[1])


def window(limits: Limits, first: int | None, after: str | None) -> Window:
    """Checks the arguments of a page.

    Raises InputError for a cursor that is none or a page below 1, LimitError for a page that is too long.
    """
    limit = limits.default_page if first is None else first
    if limit < 1:
        raise InputError(f"first: {limit} is not a page size", next_step="ask for at least 1")
    if limit > limits.page_size:
        raise LimitError(
            f"first: {limit} is over the limit of {limits.page_size} entries a page",
            next_step=f"ask for first: {limits.page_size}, and go on with after: pageInfo.endCursor",
        )
    return Window(0 if after is None else _place(after) + 1, limit)


class Stretch(NamedTuple, Generic[Item]):
    """The fields of a connection, before its type is known: `SomeConnection(**stretch._asdict())`."""

    total_count: int
    page_info: PageInfo
    edges: list[Edge[Item]]
    nodes: list[Item]


def stretch(where: Window, total: int, items: list[Item]) -> Stretch[Item]:
    """`items` as a page of a list of `total` entries."""
    edges = [Edge(cursor=_cursor(where.skip + place), node=item) for place, item in enumerate(items)]
    info = PageInfo(
        has_next_page=where.skip + where.limit < total,
        has_previous_page=where.skip > 0,
        start_cursor=edges[0].cursor if edges else None,
        end_cursor=edges[-1].cursor if edges else None,
    )
    return Stretch(total, info, edges, items)


def connect(where: Window, total: int, items: list[Item]) -> Connection[Item]:
    """`items` as a plain connection."""
    return Connection(**stretch(where, total, items)._asdict())
