"""A database for a measurement: its home, a free port, and how long something takes."""

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
    """The server of `home`, started when it does not run."""
    return LocalServer(home).start(bolt_port=free_port(), http_port=free_port(), heap_mb=heap_mb)


def timed(work: Callable[[], object]) -> float:
    """Seconds by the clock."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def warm_up(work: Callable[[Sample], object], samples: Iterable[Sample], seconds: float) -> None:
    """Ask so long, and at least once, before anything is timed: Neo4j compiles what is asked often."""
    end = time.perf_counter() + seconds
    for sample in cycle(samples):
        work(sample)
        if time.perf_counter() > end:
            break
