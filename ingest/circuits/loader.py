"""Loads circuits in groups while the next ones are made, and the error when the database fails."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Self

from schema.circuit.records import Circuit, Run
from schema.counted import counted
from schema.database import Database
from schema.errors import DatabaseError
from schema.loading.load import Group, Outcome, Prepared, Unfit, prepared, write_group
from schema.loading.runs import Entry

WAIT_S = 1.0
"""Seconds that a circuit waits at most for others of its group."""

WAITING = 4
"""Circuits that may wait until their rows are made."""

HELD = 160_000
"""Nodes and edges of all circuits that may be in memory until they are written, if no circuit has more."""

Loaded = Callable[[Sequence[tuple[Prepared | Unfit, Outcome]]], None]


class GroupLoader:
    """Loads circuits in the order of `put`. One thread makes rows; another writes groups.

    A group is written when it is full, when its first circuit has waited for a second, and at the end.
    Leave the `with` block normally to wait until all circuits are written. An error in the block discards the
    circuits that no transaction has begun to write.
    """

    def __init__(
        self,
        database: Database,
        *,
        require: Callable[[], None],
        loaded: Loaded,
        wait_s: float | None = None,
        held: int = HELD,
    ) -> None:
        """require: called before each transaction; its error stops the work. loaded: called in a thread, with
        the circuits of each group and what became of them. wait_s: seconds that a circuit waits at most;
        `WAIT_S` unless given.
        held: nodes and edges of all circuits that may be in memory; a larger circuit waits alone.
        """
        self._database = database
        self._require = require
        self._loaded = loaded
        self._wait_s = WAIT_S if wait_s is None else wait_s
        self._inputs: queue.Queue[tuple[Circuit, Run, Entry | None] | threading.Event | None] = queue.Queue(
            WAITING
        )
        self._groups: queue.Queue[list[Prepared | Unfit] | threading.Event | None] = queue.Queue(1)
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="loader")
        self._error: BaseException | None = None
        """The first error. The circuits that wait are then discarded: each would wait in vain."""
        self._most, self._held = held, 0
        self._room = threading.Condition()

    def __enter__(self) -> Self:
        self._pool.submit(self._thread, self._make_rows)
        self._pool.submit(self._thread, self._write)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._error = self._error or error
        self._inputs.put(None)
        self._pool.shutdown()
        if error is None:
            self._raise()

    def put(self, circuit: Circuit, run: Run, entry: Entry | None = None) -> None:
        """Load a circuit later. Waits when many circuits wait. Raises the error of an earlier circuit.

        entry: the input in the run's ledger.
        """
        size = _size(circuit)
        if self._held + size > self._most:
            self._inputs.put(threading.Event())  # what waits for others of its group is written now
        with self._room:
            self._room.wait_for(lambda: self._error or not self._held or self._held + size <= self._most)
            self._held += size
        self._raise()
        self._inputs.put((circuit, run, entry))

    def drain(self) -> None:
        """Wait until all circuits are written. Raises the error of a circuit."""
        written = threading.Event()
        self._inputs.put(written)
        written.wait()
        self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _thread(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            with self._room:
                self._error = self._error or error
                self._room.notify_all()
            work()  # discards what still comes, so that nobody waits for this thread
            raise

    def _make_rows(self) -> None:
        group, end = Group(), 0.0
        while True:
            try:
                given = self._inputs.get(timeout=max(0.0, end - time.monotonic()) if len(group) else None)
            except queue.Empty:
                self._groups.put(group.take())
                continue
            if isinstance(given, tuple):
                if self._error is not None:
                    continue
                each = prepared(*given)
                if not group.fits(each):
                    self._groups.put(group.take())
                if not len(group):
                    end = time.monotonic() + self._wait_s
                group.add(each)
                continue
            if len(group):
                self._groups.put(group.take())
            self._groups.put(given)
            if given is None:
                return

    def _write(self) -> None:
        while (group := self._groups.get()) is not None:
            if isinstance(group, threading.Event):
                group.set()
            elif self._error is None:
                self._require()
                self._loaded(list(zip(group, write_group(self._database, group), strict=True)))
                with self._room:
                    self._held -= sum(_size(each.circuit) for each in group)
                    self._room.notify_all()


def _size(circuit: Circuit) -> int:
    return len(circuit.nodes) + len(circuit.edges)


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
