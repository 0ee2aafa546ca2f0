"""Gives shares of the work to the workers of a cluster, and the shares of lost workers to others.

Another worker starts in place of a lost one, on any machine that has room. A share whose worker was lost
`ATTEMPTS` times fails, and the others go on.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from typing import Any, NamedTuple

from ingest.cluster.connection import require_ray
from schema.errors import InputError

ATTEMPTS = 3
"""Times that a share, or the start of a worker, is tried."""
AHEAD = 3
"""Shares for each worker that may be finished or under way before the oldest of them is taken."""
PATIENCE_S = 600.0
"""Seconds to wait for lost workers when no other is left."""


class Lost(NamedTuple):
    """A share whose worker was lost each time."""

    reason: str


class _Line:
    """Shares from when they are drawn until their results are taken."""

    def __init__(self, shares: Iterable[int]) -> None:
        """shares: ascending."""
        self._coming = iter(shares)
        self._waiting: list[int] = []
        """Heap of shares that are to be started, for the first time or because their worker was lost."""
        self.order = deque[int]()
        """Shares whose results were not taken, the oldest first."""
        self.done: dict[int, Any] = {}
        """Share → its result, until it is taken."""

    def next(self, room: int) -> int | None:
        """The next share to start; None without room. The oldest needs none: all others wait for it."""
        if not self._waiting and ((room <= 0 and self.order) or not self.draw()):
            return None
        fits = room > 0 or self._waiting[0] == self.order[0]
        return heappop(self._waiting) if fits else None

    def draw(self) -> bool:
        """Draw a share. False when there is no further one."""
        share = next(self._coming, None)
        if share is None:
            return False
        self.order.append(share)
        self.start(share)
        return True

    def start(self, share: int) -> None:
        """Let `next` give a share that was drawn."""
        heappush(self._waiting, share)


class _Task(NamedTuple):
    """A call that is under way."""

    worker: Any
    share: int | None
    """None when the worker starts."""
    starts: int = 0
    """How often in a row it was started."""


class Pool:
    """Workers, each of which does one thing at a time."""

    def __init__(self, workers: list[Any], make: Callable[[], Any], *given: Any) -> None:
        """make: makes another worker. given: what the method `ready` of a worker needs to load the model."""
        self._ray = require_ray()
        self._make = make
        self._given = given
        self._idle = deque(workers)
        self._running: dict[Any, _Task] = {}
        self._n_workers = len(workers)
        self._reason = ""
        """Why a worker was lost last."""

    def results(self, shares: Iterable[int], call: Callable[[Any, int], Any]) -> Iterator[tuple[int, Any]]:
        """(share, result) of each share, in order; the result is a Lost when its worker was lost each time.

        shares: ascending; each is drawn when there is room for it. call: starts the work on a share on a
        worker, and gives a reference to its result. None in place of a reference means that there is nothing
        to do, and is the result. Results that are not taken hold back later shares, so that memory is
        bounded. Raises InputError when all workers are lost.
        """
        line, attempts = _Line(shares), Counter[int]()
        while True:
            self._submit(line, call)
            if not line.order and not line.draw():
                return
            if line.order[0] in line.done:
                share = line.order.popleft()
                yield share, line.done.pop(share)
                continue
            for task, result, error in self._finished():
                if task.share is None:
                    continue
                if error is None:
                    line.done[task.share] = result
                    continue
                attempts[task.share] += 1
                if attempts[task.share] < ATTEMPTS:
                    line.start(task.share)
                else:
                    line.done[task.share] = Lost(error)

    def _submit(self, line: _Line, call: Callable[[Any, int], Any]) -> None:
        """Start shares while there is room for their results."""
        while self._idle:
            share = line.next(AHEAD * self._n_workers - len(line.done) - len(self._running))
            if share is None:
                return
            reference = call(self._idle[0], share)
            if reference is None:
                line.done[share] = None
            else:
                self._running[reference] = _Task(self._idle.popleft(), share)

    def _finished(self) -> Iterator[tuple[_Task, Any, str | None]]:
        """Each task that has ended since, with its result, or with the reason why its worker was lost."""
        ended, _ = self._ray.wait(list(self._running), num_returns=1, timeout=PATIENCE_S)
        if not ended:
            busy = [task for task in self._running.values() if task.share is not None]
            if not busy:
                raise InputError(
                    f"All workers of the Ray cluster are lost: {self._reason}",
                    next_step="look at `ray status`; then run the same command again, and it resumes",
                )
        for reference in ended:
            task = self._running.pop(reference)
            try:
                result = self._ray.get(reference)
            except self._ray.exceptions.RayTaskError as error:  # the worker lives
                self._idle.append(task.worker)
                yield task, None, reason_of(error)
            except self._ray.exceptions.RayError as error:
                self._reason = reason_of(error)
                self._replace(task)
                yield task, None, self._reason
            else:
                self._idle.append(task.worker)
                yield task, result, None

    def _replace(self, task: _Task) -> None:
        """Start another worker in place of a lost one, unless it was lost each time that it started."""
        self._ray.kill(task.worker)
        starts = 1 if task.share is not None else task.starts + 1
        if starts <= ATTEMPTS:
            worker = self._make()
            self._running[worker.ready.remote(*self._given)] = _Task(worker, None, starts)
        elif not self._running and not self._idle:
            raise InputError(
                f"All workers of the Ray cluster are lost: {self._reason}",
                next_step="look at the memory of the machines and at the logs in /tmp/ray; then run the same "
                "command again, and it resumes",
            )


def reason_of(error: Exception) -> str:
    """What Ray says of a lost worker or a failed call, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    cause = getattr(error, "cause", None)
    return f"{type(cause).__name__}: {cause}" if cause is not None else " ".join(lines)[:300]
