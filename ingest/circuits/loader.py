"""Threads that load circuits while the next ones are made, and the error when the database fails."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, ParamSpec, Self

from schema.counted import counted
from schema.errors import DatabaseError

P = ParamSpec("P")


class LoadingThreads(Generic[P]):
    """Calls `load` in threads, in the order of `put`; with one thread, one call after the other.

    Leave the `with` block normally to wait for all calls. An error in the block discards the calls that have
    not begun.
    """

    def __init__(
        self, load: Callable[P, None], threads: int, waiting: int, size: Callable[P, int] = lambda *_, **__: 1
    ) -> None:
        """waiting: how many calls may run or wait; `put` blocks when there are more. Bounds memory.

        size: as how many calls a call counts, from 1 up.
        """
        self._load = load
        self._waiting = waiting
        self._size = size
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="loader")
        self._room = threading.Semaphore(waiting)
        self._tasks: list[Future[None]] = []
        self._broken = False
        """Whether a call failed. Waiting calls are then skipped: each would wait for the database in vain."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._pool.shutdown(cancel_futures=error is not None)
        if error is None:
            for task in self._tasks:
                task.result()

    def put(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Call `load` with these arguments in a thread. Raises the error of an earlier call."""
        # One that counts as more calls than may wait has all of the room for itself.
        size = min(self._waiting, self._size(*args, **kwargs))
        for _ in range(size):
            self._room.acquire()
        for task in [task for task in self._tasks if task.done()]:
            self._tasks.remove(task)
            task.result()
        self._tasks.append(self._pool.submit(self._call, size, *args, **kwargs))

    def drain(self) -> None:
        """Wait until all calls have returned. Raises the error of a call."""
        while self._tasks:
            self._tasks.pop().result()

    def _call(self, size: int, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            if not self._broken:
                self._load(*args, **kwargs)
        except BaseException:
            self._broken = True
            raise
        finally:
            self._room.release(size)


@contextmanager
def resumable(loaded: Callable[[], int]) -> Iterator[None]:
    """Add to a DatabaseError how many circuits were loaded, and that the same command resumes the work."""
    try:
        yield
    except DatabaseError as error:
        resume = "run the same command again; it resumes from there"
        step = error.next_step or ""
        if "same command" not in step:
            step = f"{step}; then {resume}" if step else resume
        raise type(error)(
            f"{error.what}. {counted(loaded(), 'circuit was', 'circuits were')} loaded before that",
            next_step=step,
        ) from error
