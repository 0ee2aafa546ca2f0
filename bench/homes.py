"""Helpers of measurements: a database with its home and a free port, and timers."""

import socket
import time
from collections.abc import Callable, Iterable
from itertools import cycle
from pathlib import Path
from typing import TypeVar

from atlas.local.server import Address, LocalServer

Sample = TypeVar("Sample")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start(home: Path, heap_mb: int) -> Address:
    """The server of `home`, which is started if it is not running."""
    return LocalServer(home).start(bolt_port=free_port(), http_port=free_port(), heap_mb=heap_mb)


def timed(work: Callable[[], object]) -> float:
    """Wall-clock seconds that a call takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def warm_up(work: Callable[[Sample], object], samples: Iterable[Sample], seconds: float) -> None:
    """Ask for the given time, and at least once, before anything is timed.

    Neo4j compiles queries that are asked often.
    """
    end = time.perf_counter() + seconds
    for sample in cycle(samples):
        work(sample)
        if time.perf_counter() > end:
            break
