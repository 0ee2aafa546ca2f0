"""Checks that a mutation is allowed, and runs it in a thread of its own."""

import asyncio
from collections.abc import Callable
from typing import Annotated, TypeVar
from unicodedata import category

from strawberry import argument

from api.request.batching import Info
from api.request.limits import Limits
from schema.circuit.records import DIRECTIONS
from schema.database import Database
from schema.errors import InputError, LimitError, TokenError

T = TypeVar("T")
NAME_LENGTH = 200
"""Characters of the longest name of a label, a tag, a supernode or an author."""

Author = Annotated[
    str,
    argument(
        description="Name that is shown as the author: 1 to 200 characters. "
        "All clients use the same token, so the server cannot check the name."
    ),
]


async def write(info: Info, work: Callable[[Database], T]) -> T:
    """The result of `work`, which runs in a thread and finishes even when the client disconnects.

    Raises TokenError when the server was started without a token, and whatever `work` raises.
    """
    writer = info.context.writer
    if writer is None:
        raise TokenError(
            "This atlas only reads, because it was started without a token",
            next_step="start it with `atlas serve --token-file FILE` (make one: openssl rand -hex 24 > FILE) "
            "and send the header Authorization: Bearer … with its content",
        )
    with info.context.loaders.share.timed():
        result = await asyncio.to_thread(work, writer)
    # What this request read before may have changed.
    info.context.loaders = info.context.loaders.renewed()
    return result


def checked_name(name: str, value: str) -> str:
    """`value` without the blanks around it.

    Raises InputError when nothing is left, or when the name holds control characters, or characters that
    change the direction of writing. Raises LimitError when it is longer than `NAME_LENGTH`.
    """
    value = value.strip()
    if not value:
        raise InputError(f"{name}: the text is empty", next_step=f"give {name} a text")
    if len(value) > NAME_LENGTH:
        raise LimitError(
            f"{name}: {len(value)} characters are over the limit of {NAME_LENGTH}", next_step="shorten it"
        )
    unseen = next((each for each in value if each in DIRECTIONS or category(each) == "Cc"), None)
    if unseen is not None:
        raise InputError(
            f"{name}: the character U+{ord(unseen):04X} is not allowed, as it changes how lines are shown",
            next_step="remove it",
        )
    return value


def check_length(limits: Limits, name: str, n: int) -> None:
    """Checks the number of entries in a list. Raises InputError for 0, LimitError for too many."""
    if n == 0:
        raise InputError(f"{name}: the list is empty", next_step="give at least one entry")
    if n > limits.list_length:
        raise LimitError(
            f"{name}: {n} entries are over the limit of {limits.list_length}",
            next_step="send several requests",
        )
