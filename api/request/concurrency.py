"""How many queries are answered at the same time, GraphQL and downloads together; the others wait in line."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.responses import Response

from api.request.errors import refusal
from api.request.metrics import Metrics


class NoRoom(Exception):
    """All seats are taken, and the line is full."""

    def __init__(self, running: int, waiting: int) -> None:
        super().__init__(f"The atlas is answering {running} queries and {waiting} wait, which is its limit")

    def response(self) -> Response:
        """What the client is told."""
        return refusal(429, "BUSY", str(self), "ask again in a second", headers={"retry-after": "1"})


class Seats:
    """One for each query that is being answered; who finds none waits, in the order of coming."""

    def __init__(self, seats: int, line: int, metrics: Metrics) -> None:
        """seats: queries at a time; line: how many may wait."""
        self._free = asyncio.Semaphore(seats)
        self._line, self._metrics = line, metrics
        self._taken = self._waiting = 0

    @asynccontextmanager
    async def seat(self) -> AsyncIterator[None]:
        """Wait for a seat and keep it. Raises NoRoom at once when the line is full."""
        if self._free.locked() and self._waiting >= self._line:
            raise NoRoom(self._taken, self._waiting)
        self._count(waiting=1)
        try:
            await self._free.acquire()
        finally:
            self._count(waiting=-1)
        self._count(taken=1)
        try:
            yield
        finally:
            self._count(taken=-1)
            self._free.release()

    def _count(self, *, taken: int = 0, waiting: int = 0) -> None:
        self._taken += taken
        self._waiting += waiting
        self._metrics.running.set(self._taken)
        self._metrics.waiting.set(self._waiting)
