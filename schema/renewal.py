"""Keeps a lease: a thread renews it while work lasts, however long one step of the work takes."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from schema.errors import DatabaseError

RENEWALS = 4
"""Renewals within the time of a lease. All but one of them may fail in a row."""


@contextmanager
def renewed(renew: Callable[[], bool], lease_s: float) -> Iterator[threading.Event]:
    """Renew a lease inside the block, `RENEWALS` times in `lease_s` seconds.

    renew: renews once; False when the lease is lost. Gives an event, which is set when the lease was lost.
    """
    over, lost = threading.Event(), threading.Event()

    def beat() -> None:
        while not over.wait(lease_s / RENEWALS):
            try:
                if not renew():
                    lost.set()
                    return
            except DatabaseError:
                continue  # if it lasts, the work itself meets the same error

    thread = threading.Thread(target=beat, name="lease", daemon=True)
    thread.start()
    try:
        yield lost
    finally:
        over.set()
        thread.join()
