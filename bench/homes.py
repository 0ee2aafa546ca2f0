"""Helpers of measurements: a database with its home and a free port, `atlas serve` on it, and timers."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import cycle
from pathlib import Path
from typing import NamedTuple, TypeVar

import httpx2
import psutil

from atlas.local.server import Address, LocalServer

Sample = TypeVar("Sample")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start(home: Path, heap_mb: int | None) -> Address:
    """The server of `home`, which is started if it is not running. heap_mb: None is what fits the machine."""
    return LocalServer(home).start(bolt_port=free_port(), http_port=free_port(), heap_mb=heap_mb)


class Served(NamedTuple):
    """A running `atlas serve`."""

    url: str
    """Without a path."""
    port: int
    process: psutil.Process


def served(home: Path, *options: str) -> AbstractContextManager[Served]:
    """`atlas serve` in a process of its own, on the database of `home`, which runs.

    options: of the command.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NEO4J_")}
    return serving(environment | {"ATLAS_HOME": str(home.resolve())}, *options)


@contextmanager
def serving(environment: Mapping[str, str], *options: str, folder: Path | None = None) -> Iterator[Served]:
    """`atlas serve` in a process of its own. folder: a checkout, None for the present folder."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "atlas", "serve", "--port", str(port), *options],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(1200):
            with suppress(httpx2.TransportError):
                if httpx2.get(url + "/readyz").status_code == 200:
                    break
            time.sleep(0.1)
        yield Served(url, port, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait(60)


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
