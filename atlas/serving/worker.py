"""`atlas ingest --watch`: work on jobs until a signal stops the worker."""

import signal
import threading
from types import FrameType

from rich.console import Console

from ingest.circuits.run import IngestSettings
from ingest.jobs import watch
from schema.counted import counted
from schema.database import Database


def watch_jobs(database: Database, settings: IngestSettings, *, once: bool, console: Console) -> None:
    """Work on jobs until SIGTERM or Ctrl-C. The job that is then running goes back to the queue.

    A second signal ends the process at once. once: stop when no job is waiting. Raises what `watch` raises.
    """
    stop = threading.Event()

    def request_stop(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    previous = {number: signal.signal(number, request_stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        n_finished = watch(database, settings, stop, console=console, once=once)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    console.print(f"{counted(n_finished, 'job')} finished.", soft_wrap=True)
