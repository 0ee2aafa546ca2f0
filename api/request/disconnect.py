"""Stops work for a client that has disconnected."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

Result = TypeVar("Result")


async def unless_disconnected(
    receive: Receive, work: Coroutine[Any, Any, Result], stop: Callable[[], None]
) -> Result | None:
    """The result of `work`; None when the client disconnects first, and `work` is then cancelled.

    receive: the ASGI channel of a request whose body has been read, so that only `http.disconnect` is left to
    come. stop: called at the end in any case; it cancels what `work` started and no longer waits for.
    Raises what `work` raises.
    """
    working = asyncio.ensure_future(work)
    disconnected = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait((working, disconnected), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        disconnected.cancel()
        stop()
        await asyncio.gather(working, disconnected, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
