"""`atlas ingest --watch` until a signal says stop: then the job at hand goes back to the queue."""

import signal
import threading
from types import FrameType

from rich.console import Console

from ingest.circuits.run import IngestSettings
from ingest.jobs import watch
from schema.database import Database


def watch_jobs(database: Database, settings: IngestSettings, *, once: bool, console: Console) -> None:
    """Take jobs until SIGTERM or Ctrl-C, a second of which ends at once. Raises what `watch` raises."""
    stop = threading.Event()

    def heard(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, heard) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        finished = watch(database, settings, stop, console=console, once=once)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    console.print(f"{finished} jobs finished.", soft_wrap=True)
