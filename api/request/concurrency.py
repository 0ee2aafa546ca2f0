"""Shares the server among clients: slots that clients take in turn, and the number of requests at hand.

A client is an address. Work that takes long waits for a slot: a request as a whole, a question to the
database, a download, a query text to validate, a page to turn into objects. Who has the fewest slots gets the
next one, so that a client with a thousand requests delays another client by no more than the work that is
running already. Nobody knows before how long a question takes. So the server counts the time that each client
has used. While others are there, who has used much gets one slot at a time, and the next one only after a
rest that is a multiple of what its last piece of work took: the more others, the longer, because all of them
share one server (`Used`). Nobody holds a slot while it rests.
"""

import asyncio
import time
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from itertools import islice
from typing import TypeVar

from starlette.responses import Response
from starlette.types import Scope

from api.request.errors import refusal
from api.request.limits import Limits
from api.request.metrics import Metrics

Result = TypeVar("Result")

ROWS_OF_ROUND = 200
"""Rows that become objects in one round of the event loop, besides one page that waited for its turn. A
request of another client takes several rounds, and so waits several times for as long."""
HALF_S = 5.0
"""Seconds after which half of what a client has used is forgotten."""
PRESENT_S = 10.0
"""Seconds after its last work for which a client counts as present."""
ROW_S = 2e-4
"""Seconds of the event loop for a row that becomes an object (0.04 to 0.3 ms were measured)."""
REST_TIMES = 2
"""Least rest of who has used much, as a multiple of what its last piece of work took. The rest is as many
times as long as there are other clients."""
MOST_REST_TIMES = 10
"""Longest such multiple, and the number of other clients from which on more change nothing."""
REST_S = 3.0
"""Longest such rest, in seconds."""
BYTE_S = 2e-7
"""Seconds of the event loop for a byte of a request (40 to 75 ms for 500 prompts of 270 KB were measured)."""


def client_of(scope: Scope) -> str:
    """The address that a request comes from; empty when it is unknown."""
    client = scope.get("client")
    return client[0] if client else ""


class ServerBusy(Exception):
    """The server has as many requests at hand as it takes, from this client or from all of them."""

    def response(self) -> Response:
        """The answer to the client: status 429, code BUSY."""
        return refusal(429, "BUSY", str(self), "ask again in a second", headers={"retry-after": "1"})


class Used:
    """Seconds of work that each client has used lately, of the database and of the server together."""

    def __init__(self, much_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """much_s: from how many seconds on one of two clients has used much. One of four or more clients has
        used much from half of them on."""
        self._much_s = much_s
        self._clock = clock
        self._of: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """For each client: the seconds, and when they were counted. Who worked last stands last."""
        self._rested: dict[str, float] = {}
        """For each of these clients: when it has rested long enough."""

    def add(self, client: str, seconds: float) -> None:
        """Counts work of a client. The server itself, whose name is empty, counts as nobody."""
        if not client:
            return
        now = self._clock()
        self._of[client] = (self._lately(client, now) + seconds, now)
        self._of.move_to_end(client)
        times = max(self._others(client, now), REST_TIMES)
        self._rested[client] = max(self._rested.get(client, now), now + min(times * seconds, REST_S))
        while now - next(iter(self._of.values()))[1] > 10 * HALF_S:
            gone, _ = self._of.popitem(last=False)
            del self._rested[gone]

    def much(self, client: str) -> bool:
        """Whether the client has used much while other clients are present."""
        now = self._clock()
        others = self._others(client, now)
        return others > 0 and self._lately(client, now) >= self._much_s * max(0.5, 2 / (1 + others))

    def beside_others(self, client: str) -> bool:
        """Whether other clients are present."""
        return self._others(client, self._clock()) > 0

    def rest(self, client: str) -> float:
        """Seconds until the client may work again; 0 unless it has used much."""
        return max(0.0, self._rested.get(client, 0.0) - self._clock()) if self.much(client) else 0.0

    def _others(self, client: str, now: float) -> int:
        """How many other clients are present, up to `MOST_REST_TIMES`: more change nothing."""
        lately = islice(reversed(self._of.items()), MOST_REST_TIMES + 1)
        present = (each != client for each, (_, then) in lately if now - then <= PRESENT_S)
        return min(sum(present), MOST_REST_TIMES)

    def _lately(self, client: str, now: float) -> float:
        seconds, then = self._of.get(client, (0.0, now))
        return seconds * 0.5 ** ((now - then) / HALF_S)


class FairSlots:
    """Slots that clients take in turn."""

    def __init__(
        self,
        slots: int,
        each: int | None = None,
        count: Callable[[int, int], None] | None = None,
        used: Used | None = None,
        beside: int | None = None,
    ) -> None:
        """slots: in all; each: of one client, None for all of them.

        count: is told how many slots are taken and how many wait, whenever one of them changes.
        used: who has used much of it gets one slot at a time, and none while it rests; None: nobody.
        beside: slots of one client while `used` knows of other clients that are present; None: `each`.
        """
        self._slots = self._free = slots
        self._each = slots if each is None else each
        self._beside = self._each if beside is None else min(beside, self._each)
        self._count = count or (lambda taken, waiting: None)
        self._used = used
        self._held: Counter[str] = Counter()
        self._lines: dict[str, deque[asyncio.Future[None]]] = {}
        self._waking: asyncio.TimerHandle | None = None
        """Serves those who wait when the first of them has rested."""

    @asynccontextmanager
    async def slot(self, client: str) -> AsyncIterator[None]:
        """Waits for a slot and holds it."""
        await self.acquire(client)
        try:
            yield
        finally:
            self.release(client)

    async def next_turn(self, client: str) -> None:
        """Waits for a slot and gives it back in the next round of the event loop, after what the caller
        does."""
        await self.acquire(client)
        asyncio.get_running_loop().call_soon(self.release, client)

    async def acquire(self, client: str) -> None:
        """Waits for a slot, which the caller gives back by `release`."""
        if self._free and client not in self._lines and self._may_take(client):
            self._take(client)
            return
        turn = asyncio.get_running_loop().create_future()
        self._lines.setdefault(client, deque()).append(turn)
        self._serve()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release(client)
            else:
                self._leave(client, turn)
            raise

    def _may_take(self, client: str) -> bool:
        if self._used is None:
            return self._held[client] < self._each
        if self._used.much(client):
            return not self._held[client] and not self._used.rest(client)
        return self._held[client] < (self._beside if self._used.beside_others(client) else self._each)

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

    def release(self, client: str) -> None:
        """Gives a slot back."""
        self._free += 1
        self._held[client] -= 1
        if not self._held[client]:
            del self._held[client]
        self._serve()

    def _serve(self) -> None:
        """Give free slots to those who wait and may take one."""
        while self._free and (waiting := [each for each in self._lines if self._may_take(each)]):
            # Clients stand in the order in which they were last served.
            following = min(waiting, key=self._held.__getitem__)
            line = self._lines.pop(following)
            turn = line.popleft()
            if line:
                self._lines[following] = line
            if not turn.cancelled():
                self._take(following)
                turn.set_result(None)
        if self._waking is not None:
            self._waking.cancel()
            self._waking = None
        if self._free and self._used is not None and self._lines:
            rests = [rest for each in self._lines if (rest := self._used.rest(each))]
            if rests:
                self._waking = asyncio.get_running_loop().call_later(min(rests), self._serve)
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

        self._used = Used(limits.client_s)
        self.requests = Requests(limits.running + limits.waiting, limits.client_requests)
        self.downloads = FairSlots(limits.downloads, limits.client_downloads)
        self._at_once = FairSlots(
            limits.running + limits.waiting, limits.client_at_once, used=self._used, beside=2
        )
        self._questions = FairSlots(limits.running, limits.client_running, count, self._used)
        # The other slots are left to questions that take little time.
        heavy = min(limits.heavy_running, max(1, limits.running - 1))
        self._heavy = FairSlots(heavy, used=self._used, beside=1)
        self._pages = FairSlots(1)
        self._rows_now = 0
        self._off_the_loop = FairSlots(1, used=self._used)
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

    def uses(self, *, rows: int) -> None:
        """Counts rows that become objects for the client."""
        self._shares._used.add(self.client, rows * ROW_S)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Counts the time of work for the client that does not hold the event loop."""
        begin = time.monotonic()
        try:
            yield
        finally:
            self._shares._used.add(self.client, time.monotonic() - begin)

    @asynccontextmanager
    async def request(self, n_bytes: int) -> AsyncIterator[None]:
        """Waits until one more request of the client may be worked on. n_bytes: of its body."""
        self._shares._used.add(self.client, n_bytes * BYTE_S)
        async with self._shares._at_once.slot(self.client):
            yield

    @asynccontextmanager
    async def question(self, heavy: bool) -> AsyncIterator[None]:
        """Waits until the database may be asked a question, and counts the time that it takes."""
        async with AsyncExitStack() as held:
            if heavy:
                await held.enter_async_context(self._shares._heavy.slot(self.client))
            await held.enter_async_context(self._shares._questions.slot(self.client))
            with self.timed():
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
        slots = self._shares._off_the_loop
        await slots.acquire(self.client)
        begin = time.monotonic()

        def ended(_: asyncio.Future[Result]) -> None:
            self._shares._used.add(self.client, time.monotonic() - begin)
            slots.release(self.client)

        running = asyncio.get_running_loop().run_in_executor(self._shares._thread, work, *given)
        running.add_done_callback(ended)
        # A request may end before. The thread works on, and the slot is taken until it has ended.
        return await asyncio.shield(running)
