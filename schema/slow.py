"""Says what a command waits for, when the wait takes longer than a person expects."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

AFTER_S = 1.0
"""Seconds after which a wait is reported."""


@contextmanager
def said_if_slow(text: str, say: Callable[[str], object], after_s: float = AFTER_S) -> Iterator[None]:
    """Call `say` with the text, from a thread, when the block takes longer than `after_s` seconds."""
    timer = threading.Timer(after_s, say, [text])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
