"""Shares the server among clients: slots that clients take in turn, and the number of requests at hand.

A client is an address. Work that takes long waits for a slot: a question to the database, a download, a query
text to validate, a page to turn into objects. Who has the fewest slots gets the next one, so that a client
with a thousand requests delays another client by no more than the work that is running already.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TypeVar

from starlette.responses import Response
from starlette.types import Scope

from api.request.errors import refusal
from api.request.limits import Limits
from api.request.metrics import Metrics

Result = TypeVar("Result")

ROWS_OF_ROUND = 2_000
"""Rows that become objects in one round of the event loop, besides one page that waited for its turn."""


def client_of(scope: Scope) -> str:
    """The address that a request comes from; empty when it is unknown."""
    client = scope.get("client")
    return client[0] if client else ""


class ServerBusy(Exception):
    """The server has as many requests at hand as it takes, from this client or from all of them."""

    def response(self) -> Response:
        """The answer to the client: status 429, code BUSY."""
        return refusal(429, "BUSY", str(self), "ask again in a second", headers={"retry-after": "1"})


class FairSlots:
    """Slots that clients take in turn."""

    def __init__(
        self, slots: int, each: int | None = None, count: Callable[[int, int], None] | None = None
    ) -> None:
        """slots: in all; each: of one client, None for all of them.

        count: is told how many slots are taken and how many clients wait, whenever one of them changes.
        """
        self._slots = self._free = slots
        self._each = slots if each is None else each
        self._count = count or (lambda taken, waiting: None)
        self._held: Counter[str] = Counter()
        self._lines: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def slot(self, client: str) -> AsyncIterator[None]:
        """Waits for a slot and holds it."""
        await self._acquire(client)
        try:
            yield
        finally:
            self._release(client)

    async def next_turn(self, client: str) -> None:
        """Waits for a slot and gives it back in the next round of the event loop, after what the caller
        does."""
        await self._acquire(client)
        asyncio.get_running_loop().call_soon(self._release, client)

    async def _acquire(self, client: str) -> None:
        if self._free and self._held[client] < self._each:
            self._take(client)
            return
        turn = asyncio.get_running_loop().create_future()
        self._lines.setdefault(client, deque()).append(turn)
        self._tell()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._release(client)
            else:
                self._leave(client, turn)
            raise

    def _take(self, client: str) -> None:
        self._free -= 1
        self._held[client] += 1
        self._tell()

    def _leave(self, client: str, turn: asyncio.Future[None]) -> None:
        line = self._lines.get(client, deque())
        if turn in line:
            line.remove(turn)
            if not line:
                del self._lines[client]
        self._tell()

    def _release(self, client: str) -> None:
        self._free += 1
        self._held[client] -= 1
        if not self._held[client]:
            del self._held[client]
        while self._free and (waiting := [each for each in self._lines if self._held[each] < self._each]):
            # Clients stand in the order in which they were last served.
            following = min(waiting, key=self._held.__getitem__)
            line = self._lines.pop(following)
            turn = line.popleft()
            if line:
                self._lines[following] = line
            if not turn.cancelled():
                self._take(following)
                turn.set_result(None)
        self._tell()

    def _tell(self) -> None:
        self._count(self._slots - self._free, sum(map(len, self._lines.values())))


class Requests:
    """The requests at hand: how many there are in all, and of each client."""

    def __init__(self, most: int, each: int) -> None:
        self._most, self._each = most, each
        self._at_hand: Counter[str] = Counter()

    @contextmanager
    def one(self, client: str) -> Iterator[None]:
        """Counts a request while it is at hand. Raises ServerBusy when there are too many."""
        if self._at_hand[client] >= self._each:
            raise ServerBusy(
                f"The atlas has {self._each} requests of this client at hand, which is its limit"
            )
        if self._at_hand.total() >= self._most:
            raise ServerBusy(f"The atlas has {self._most} requests at hand, which is its limit")
        self._at_hand[client] += 1
        try:
            yield
        finally:
            self._at_hand[client] -= 1
            if not self._at_hand[client]:
                del self._at_hand[client]


class Shares:
    """What the clients of one server share."""

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        def count(running: int, waiting: int) -> None:
            metrics.running.set(running)
            metrics.waiting.set(waiting)

        self.requests = Requests(limits.running + limits.waiting, limits.client_requests)
        self.downloads = FairSlots(limits.downloads, limits.client_downloads)
        self._questions = FairSlots(limits.running, limits.client_running, count)
        # The other slots are left to questions that take little time.
        self._heavy = FairSlots(min(limits.heavy_running, max(1, limits.running - 1)))
        self._pages = FairSlots(1)
        self._rows_now = 0
        self._off_the_loop = FairSlots(1)
        self._thread = ThreadPoolExecutor(1, "off-the-loop")

    def count_rows(self, rows: int) -> bool:
        """Count rows for this round of the event loop. False, and not counted, when they are too many."""
        if self._rows_now + rows > ROWS_OF_ROUND:
            return False
        if not self._rows_now:
            asyncio.get_running_loop().call_soon(self._end_round)
        self._rows_now += rows
        return True

    def _end_round(self) -> None:
        self._rows_now = 0

    def of(self, client: str) -> "ClientShare":
        """The share of one client."""
        return ClientShare(self, client)


class ClientShare:
    """What one client gets of a server."""

    def __init__(self, shares: Shares, client: str) -> None:
        self._shares = shares
        self.client = client

    @asynccontextmanager
    async def question(self, heavy: bool) -> AsyncIterator[None]:
        """Waits until the database may be asked a question."""
        async with AsyncExitStack() as held:
            if heavy:
                await held.enter_async_context(self._shares._heavy.slot(self.client))
            await held.enter_async_context(self._shares._questions.slot(self.client))
            yield

    async def page(self, rows: int) -> None:
        """Waits until the rows of one more page may become objects.

        Pages of up to `ROWS_OF_ROUND` rows together may in one round of the event loop, so that what is asked
        next for each of them is asked together. Further pages take turns, one in a round.
        """
        if not self._shares.count_rows(rows):
            await self._shares._pages.next_turn(self.client)

    async def off_the_loop(self, work: Callable[..., Result], *given: object) -> Result:
        """What `work` gives, which runs in a thread, so that the server answers others meanwhile."""
        async with self._shares._off_the_loop.slot(self.client):
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._shares._thread, work, *given)
