"""Slots are shared among clients: nobody with many requests keeps another one waiting."""

import asyncio
import threading
import time

import pytest

from api.request.concurrency import (
    HALF_S,
    PRESENT_S,
    REST_S,
    REST_TIMES,
    FairSlots,
    Requests,
    ServerBusy,
    Shares,
    Used,
)
from api.request.limits import Limits
from api.request.metrics import Metrics


class Holder:
    """Takes slots and remembers who got one, in order."""

    def __init__(self, slots: FairSlots) -> None:
        self.slots = slots
        self.served: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.leave: asyncio.Semaphore = asyncio.Semaphore(0)

    async def ask(self, client: str) -> asyncio.Task[None]:
        async def hold() -> None:
            async with self.slots.slot(client):
                self.served.append(client)
                await self.leave.acquire()

        self.tasks.append(asyncio.create_task(hold()))
        await self.settle()
        return self.tasks[-1]

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    async def end(self, n: int) -> None:
        """Lets as many holders leave."""
        for _ in range(n):
            self.leave.release()
            await self.settle()


async def test_who_has_the_fewest_slots_is_next():
    held = Holder(FairSlots(2))
    for client in "aaaaaabcb":
        await held.ask(client)
    assert held.served == ["a", "a"]
    await held.end(7)
    assert "".join(held.served) == "aabacbaaa"


async def test_a_client_gets_no_more_than_its_share():
    held = Holder(FairSlots(3, each=2))
    for client in "aaab":
        await held.ask(client)
    assert "".join(held.served) == "aab"
    await held.end(1)
    assert "".join(held.served) == "aaba"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_client_gets_fewer_slots_while_others_are_there():
    clock = Clock()
    used = Used(2.0, clock)
    used.add("a", 0.1)
    held = Holder(FairSlots(4, each=3, used=used, beside=1))
    for client in "aaaa":
        await held.ask(client)
    assert held.served == ["a"] * 3
    used.add("b", 0.1)
    await held.end(2)
    assert held.served == ["a"] * 3  # it holds one still
    await held.end(1)
    assert held.served == ["a"] * 4
    for client in "ab":
        await held.ask(client)
    assert "".join(held.served) == "aaaab"
    clock.now += 2 * PRESENT_S  # the other has gone
    await held.ask("a")
    assert "".join(held.served) == "aaaabaa"


async def test_who_has_used_much_gets_one_slot_at_a_time():
    clock = Clock()
    used = Used(2.0, clock)
    held = Holder(FairSlots(4, each=3, used=used))
    used.add("a", 4.0)
    used.add("b", 1.9)
    clock.now += REST_S
    for client in "aaabbb":
        await held.ask(client)
    assert "".join(held.served) == "abbb"
    await held.end(4)
    assert "".join(held.served) == "abbba"
    await held.end(2)
    assert "".join(held.served) == "abbbaa"


async def test_who_rests_holds_no_slot():
    """As many busy clients as there are slots, all of them resting, keep nobody else waiting."""
    used = Used(0.1)
    told: list[tuple[int, int]] = []
    held = Holder(FairSlots(2, count=lambda taken, waiting: told.append((taken, waiting)), used=used))
    for client, seconds in ("little", 0.01), ("a", 0.5), ("b", 0.6):
        used.add(client, seconds)
    for client in "ab":
        await held.ask(client)
    assert (held.served, told[-1]) == ([], (0, 2))
    await held.ask("little")
    assert (held.served, told[-1]) == (["little"], (1, 2))
    # Who has rested gets the other slot, although nobody has left.
    async with asyncio.timeout(10):
        while len(held.served) < 2:
            await asyncio.sleep(0.01)
    assert (held.served, told[-1]) == (["little", "a"], (2, 1))
    await held.end(1)
    async with asyncio.timeout(10):
        while len(held.served) < 3:
            await asyncio.sleep(0.01)
    assert (held.served, told[-1]) == (["little", "a", "b"], (2, 0))


def test_use_is_forgotten_and_counts_only_beside_others():
    clock = Clock()
    used = Used(2.0, clock)
    used.add("a", 3.0)
    used.add("", 100.0)  # the server's own work
    assert not used.much("a")
    used.add("b", 0.0)
    assert (used.much("a"), used.much("b"), used.much("")) == (True, False, False)
    clock.now += HALF_S
    assert not used.much("a")
    used.add("a", 0.5)
    assert used.much("a")
    # The other client has gone.
    clock.now += PRESENT_S
    used.add("a", 100.0)
    assert not used.much("a")
    used.add("b", 0.0)
    assert used.much("a")


def test_who_has_used_much_beside_another_rests_twice_as_long_as_its_work_took():
    clock = Clock()
    used = Used(2.0, clock)
    used.add("a", 3.0)
    assert used.rest("a") == 0.0  # nobody else is there
    used.add("b", 0.1)
    assert (used.rest("a"), used.rest("b"), used.rest("c"), used.rest("")) == (REST_S, 0.0, 0.0, 0.0)
    clock.now += 0.25
    assert used.rest("a") == REST_S - 0.25
    used.add("a", 0.5)  # shorter work does not end a rest
    assert used.rest("a") == REST_S - 0.25
    clock.now += REST_S
    assert used.rest("a") == 0.0
    used.add("a", 0.5)
    assert used.rest("a") == 0.5 * REST_TIMES


@pytest.mark.parametrize(
    ("n_others", "much_s", "times"),
    [(1, 2.0, 2), (2, 4 / 3, 2), (3, 1.0, 3), (9, 1.0, 9), (10, 1.0, 10), (30, 1.0, 10)],
)
def test_beside_many_others_less_is_much_and_rests_are_longer(n_others, much_s, times):
    for seconds, rest in ((0.99 * much_s, 0.0), (much_s, min(times * much_s, REST_S))):
        used = Used(2.0, Clock())
        for number in range(n_others):
            used.add(f"other {number}", 0.0)
        used.add("a", seconds)
        assert used.rest("a") == pytest.approx(rest)
        used.add("a", 0.01)
        assert used.rest("other 0") == 0.0
    clock = Clock()
    used = Used(2.0, clock)
    used.add("a", 3.0)
    for number in range(n_others):
        used.add(f"other {number}", 0.0)
    clock.now += REST_S
    used.add("a", 1.0)
    clock.now += REST_S
    used.add("a", 0.1)
    assert used.rest("a") == pytest.approx(0.1 * times)


def test_who_has_not_worked_yet_does_not_rest_even_when_nothing_is_much():
    used = Used(0.0, Clock())
    used.add("other", 1.0)
    assert (used.rest("new"), used.rest("")) == (0.0, 0.0)


@pytest.mark.parametrize("work", ["request", "question", "off_the_loop"])
async def test_every_kind_of_work_waits_for_the_rest(work):
    shares = Shares(Limits(client_s=0.1), Metrics())
    shares.of("other").uses(rows=1)
    shares.of("much").uses(rows=10_000)  # 2 s

    async def done(client: str) -> float:
        begin = time.monotonic()
        share = shares.of(client)
        if work == "off_the_loop":
            await share.off_the_loop(int)
        else:
            async with share.request(1) if work == "request" else share.question(heavy=True):
                pass
        return time.monotonic() - begin

    rested, at_once = await asyncio.gather(done("much"), done("little"))
    assert rested > REST_S / 2  # a busy machine may begin late
    assert at_once < rested


async def test_all_work_for_a_client_counts_as_used():
    shares = Shares(Limits(client_s=0.1), Metrics())
    shares.of("other").uses(rows=1)

    async def rows() -> None:
        shares.of("rows").uses(rows=10_000)

    async def request() -> None:
        async with shares.of("request").request(n_bytes=10_000_000):
            pass

    async def question() -> None:
        async with shares.of("question").question(heavy=False):
            await asyncio.sleep(0.3)

    async def text() -> None:
        await shares.of("text").off_the_loop(time.sleep, 0.3)

    async def write() -> None:
        with shares.of("write").timed():
            await asyncio.sleep(0.3)

    works = (rows, request, question, text, write)
    await asyncio.gather(*(work() for work in works))
    assert [shares._used.much(work.__name__) for work in works] == [True] * 5


async def test_work_in_a_thread_keeps_its_slot_when_its_request_ends_before():
    """The thread cannot be stopped. What waits for it is still served in turn."""
    shares, go = Shares(Limits(), Metrics()), threading.Event()
    done: list[str] = []
    first = asyncio.create_task(shares.of("many").off_the_loop(go.wait, 30))
    await asyncio.sleep(0.01)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    following = []
    for client in ("many", "many", "one"):
        following.append(asyncio.create_task(shares.of(client).off_the_loop(done.append, client)))
        await asyncio.sleep(0.01)
    go.set()
    await asyncio.gather(*following)
    assert done == ["many", "one", "many"]


async def test_who_leaves_while_waiting_or_just_served_loses_no_slot():
    told: list[tuple[int, int]] = []
    slots = FairSlots(1, count=lambda taken, waiting: told.append((taken, waiting)))
    held = Holder(slots)
    first = await held.ask("a")
    waiting = [await held.ask(client) for client in "bc"]
    assert told[-1] == (1, 2)
    waiting[0].cancel()
    await held.settle()
    assert told[-1] == (1, 1)
    # The slot is handed over, and the new holder is cancelled before it runs.
    first.cancel()
    await asyncio.sleep(0)
    waiting[1].cancel()
    await held.settle()
    assert told[-1] == (0, 0)
    await held.ask("d")
    assert held.served[-1] == "d"


async def test_many_who_leave_at_once_lose_no_slot():
    """Cancelled together, as at the end of their time: a slot is not handed to one that is leaving."""
    held = Holder(FairSlots(1))
    leaving = [await held.ask(client) for client in "aabb"]
    last = await held.ask("c")
    for task in leaving:
        task.cancel()
    ends = await asyncio.gather(*leaving, return_exceptions=True)
    assert [type(end) for end in ends] == [asyncio.CancelledError] * 4
    await held.settle()
    assert held.served == ["a", "c"]
    await held.end(1)
    assert last.done()


async def test_turns_come_one_in_a_round_of_the_loop_and_alternate_between_clients():
    slots = FairSlots(1)
    order: list[str] = []

    async def work(client: str) -> None:
        await slots.next_turn(client)
        order.append(client)

    async def others() -> None:
        while len(order) - order.count("-") < 5:
            order.append("-")
            await asyncio.sleep(0)

    await asyncio.gather(*(work(client) for client in "aaaab"), others())
    turns = "".join(order).rstrip("-")
    assert turns.replace("-", "") == "aabaa"
    assert "aa" not in turns
    assert "ab" not in turns


async def test_heavy_questions_leave_slots_for_light_ones():
    shares = Shares(Limits(running=3, client_running=3, heavy_running=2), Metrics())
    served: list[str] = []
    over = asyncio.Event()

    async def ask(client: str, heavy: bool) -> None:
        async with shares.of(client).question(heavy):
            served.append(client)
            await over.wait()

    heavy = [asyncio.create_task(ask(f"heavy {n}", True)) for n in range(5)]
    await asyncio.sleep(0.01)
    light = asyncio.create_task(ask("light", False))
    await asyncio.sleep(0.01)
    assert served == ["heavy 0", "heavy 1", "light"]
    over.set()
    await asyncio.gather(*heavy, light)
    assert len(served) == 6


def test_requests_at_hand_are_counted_for_each_client_and_for_all():
    requests = Requests(most=3, each=2)
    with requests.one("a"), requests.one("a"):
        with pytest.raises(ServerBusy, match="2 requests of this client"), requests.one("a"):
            pass
        with requests.one("b"), pytest.raises(ServerBusy, match="3 requests at hand"), requests.one("c"):
            pass
        with requests.one("c"):
            pass
    with requests.one("a"), requests.one("a"):
        pass
