"""Places in a list: opaque cursors, and the stretch of a list that `first` and `after` ask for."""

import base64
import re
from typing import NamedTuple

from api.request.limits import Limits
from schema.errors import InputError, LimitError


class Window(NamedTuple):
    """Which stretch of a list is asked for."""

    skip: int
    limit: int


def cursor_of(place: int) -> str:
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
