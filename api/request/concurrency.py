"""Limits how many queries run at once; GraphQL queries and downloads count together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.responses import Response

from api.request.errors import refusal
from api.request.metrics import Metrics


class ServerBusy(Exception):
    """No slot is free and the queue is full."""

    def __init__(self, running: int, waiting: int) -> None:
        super().__init__(f"The atlas runs {running} queries and {waiting} more wait, which is its limit")

    def response(self) -> Response:
        """The answer to the client: status 429, code BUSY."""
        return refusal(429, "BUSY", str(self), "ask again in a second", headers={"retry-after": "1"})


class QuerySlots:
    """Slots for queries. A query that finds no free slot waits; the queue is first come, first served."""

    def __init__(self, slots: int, queue: int, metrics: Metrics) -> None:
        """slots: queries that run at once; queue: queries that may wait; metrics: counts both."""
        self._free = asyncio.Semaphore(slots)
        self._queue, self._metrics = queue, metrics
        self._running = self._waiting = 0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a slot and hold it. Raises ServerBusy at once when the queue is full."""
        if self._free.locked() and self._waiting >= self._queue:
            raise ServerBusy(self._running, self._waiting)
        self._count(waiting=1)
        try:
            await self._free.acquire()
        finally:
            self._count(waiting=-1)
        self._count(running=1)
        try:
            yield
        finally:
            self._count(running=-1)
            self._free.release()

    def _count(self, *, running: int = 0, waiting: int = 0) -> None:
        self._running += running
        self._waiting += waiting
        self._metrics.running.set(self._running)
        self._metrics.waiting.set(self._waiting)
