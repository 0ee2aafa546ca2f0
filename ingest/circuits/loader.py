"""The thread that loads circuits while the next are computed, and what is said when loading breaks off."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from schema.circuit.records import Circuit
from schema.errors import DatabaseError

QUEUE_SIZE = 8
"""Circuits that may wait for the loading thread; bounds memory."""


class Loader:
    """A thread that loads circuits in the order they come, while the next ones are computed."""

    def __init__(self, load: Callable[[Circuit], None]) -> None:
        self._load = load
        self._queue: queue.Queue[Circuit | None] = queue.Queue(QUEUE_SIZE)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="loader", daemon=True)

    def __enter__(self) -> "Loader":
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._queue.put(None)
        self._thread.join()
        if error is None and self._error is not None:
            raise self._error

    def put(self, circuit: Circuit) -> None:
        """Hand over a circuit; raises what the thread failed with, so that no more is computed in vain."""
        if self._error is not None:
            raise self._error
        self._queue.put(circuit)

    def _work(self) -> None:
        while (circuit := self._queue.get()) is not None:
            if self._error is None:
                try:
                    self._load(circuit)
                except BaseException as error:  # noqa: BLE001  raised again in the thread that waits
                    self._error = error


@contextmanager
def going_on(loaded: Callable[[], int]) -> Iterator[None]:
    """Raises a DatabaseError that says how many circuits were loaded, and that the same command goes on."""
    try:
        yield
    except DatabaseError as error:
        again = "give the same command again: it goes on from there"
        step = error.next_step or ""
        if "same command" not in step:
            step = f"{step}; then {again}" if step else again
        raise type(error)(
            f"{error.what}. {loaded()} circuits were loaded before that", next_step=step
        ) from error
