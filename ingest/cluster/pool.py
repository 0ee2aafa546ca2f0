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

        call: starts the work on a share on a worker, and gives a reference to its result. Results that are
        not taken hold back later shares, so that memory is bounded. Raises InputError when all workers are
        lost.
        """
        order = sorted(shares)
        waiting, done = list(order), dict[int, Any]()
        attempts: Counter[int] = Counter()
        for share in order:
            while share not in done:
                self._submit(waiting, call, share, room=AHEAD * self._n_workers - len(done))
                for task, result, error in self._finished():
                    if task.share is None:
                        continue
                    if error is None:
                        done[task.share] = result
                        continue
                    attempts[task.share] += 1
                    if attempts[task.share] < ATTEMPTS:
                        heappush(waiting, task.share)
                    else:
                        done[task.share] = Lost(error)
            yield share, done.pop(share)

    def _submit(self, waiting: list[int], call: Callable[[Any, int], Any], oldest: int, room: int) -> None:
        """Start shares while there is room. The oldest one needs none, because all others wait for it."""
        while self._idle and waiting and (len(self._running) < room or waiting[0] == oldest):
            worker, share = self._idle.popleft(), heappop(waiting)
            self._running[call(worker, share)] = _Task(worker, share)

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
