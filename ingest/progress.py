"""Progress of long work, in the same way for all commands.

On a terminal it is a bar. Elsewhere it is a line now and then, with count, rate and time left, so that a log
shows that something happens. Ctrl-C and SIGTERM end the work with a line that says how far it came.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from types import FrameType
from typing import NoReturn

from rich import filesize
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

FIRST_S = 10.0
"""Seconds until the first line elsewhere than on a terminal. Each later wait is twice as long as the last."""
EVERY_S = 60.0
"""Longest wait between two lines, in seconds."""
SLOW = 0.1
"""Steps a second below which the rate is given per minute."""


class Terminated(KeyboardInterrupt):
    """SIGTERM asked the process to end, during long work."""


@dataclass
class Steps:
    """How far one part of the work is."""

    what: str
    """What is counted, such as `circuits`. It may be changed."""
    total: float | None
    """Number of steps; None while it is unknown."""
    done: float = 0
    in_bytes: bool = False
    """Whether steps are bytes."""
    pace: Callable[[], str] | None = None
    """Gives what is said in place of count and rate."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _added: float = field(default_factory=lambda: time.monotonic(), repr=False)
    _began: tuple[float, float] | None = None
    """Time of the first step, and the number of steps that were done then."""
    _ended: float | None = None
    """Time at which the last step was done; None while there are steps to do."""

    def advance(self, n: float = 1) -> None:
        """Count steps; any thread may."""
        with self._lock:
            self.done += n
            if self._began is None:
                self._began = time.monotonic(), self.done
            complete = self.total is not None and self.done >= self.total
            self._ended = time.monotonic() if complete else None

    def extend(self, n: float) -> None:
        """Add steps to do. The time since all were done does not count for the rate."""
        with self._lock:
            self.total = (self.total or 0) + n
            if self._began is not None and self._ended is not None:
                self._began = self._began[0] + time.monotonic() - self._ended, self._began[1]
            self._ended = None

    def reach(self, done: float) -> None:
        """Set the number of steps that are done."""
        self.advance(done - self.done)

    @property
    def rate(self) -> float | None:
        """Steps a second; None before the second step."""
        if self._began is None or self.done <= self._began[1]:
            return None
        now = time.monotonic() if self._ended is None else self._ended
        return (self.done - self._began[1]) / max(1e-9, now - self._began[0])

    def numbers(self) -> str:
        """Count, rate and time left, such as `120 of 4000, 3.2/s, 0:20:13 left`."""
        rate = self.rate
        parts = [self.pace()] if self.pace is not None else [self._count()]
        if rate is not None and self.pace is None:
            slow = rate < SLOW and not self.in_bytes
            parts.append(f"{rate * 60:.1f}/min" if slow else f"{self._size(rate, digits=1)}/s")
        if rate is not None and self.total is not None and self.done < self.total:
            parts.append(f"{_time((self.total - self.done) / rate)} left")
        return ", ".join(parts)

    def _count(self) -> str:
        if self.total is None and not self.done:
            return f"{_time(time.monotonic() - self._added)} so far"
        done = self._size(self.done)
        return done if self.total is None else f"{done} of {self._size(self.total)}"

    def _size(self, n: float, digits: int = 0) -> str:
        return filesize.decimal(round(n)) if self.in_bytes else f"{n:.{digits}f}"


class Work:
    """The parts of one piece of work."""

    def __init__(self, bar: Progress | None) -> None:
        self.parts: list[Steps] = []
        self._bar = bar
        self._tasks: list[TaskID] = []

    def add(
        self,
        what: str,
        total: float | None = None,
        *,
        done: float = 0,
        in_bytes: bool = False,
        pace: Callable[[], str] | None = None,
    ) -> Steps:
        """A new part; see `Steps`. done: steps of earlier calls, which do not count for the rate."""
        steps = Steps(what, total, done, in_bytes, pace)
        self.parts.append(steps)
        if self._bar is not None:
            self._tasks.append(self._bar.add_task(what, total=total, steps=steps))
        return steps

    def more(self, what: str, n: float) -> Steps:
        """The part that counts `what`, with `n` more steps to do; a new part when there is none."""
        for steps in self.parts:
            if steps.what == what:
                steps.extend(n)
                return steps
        return self.add(what, n)

    def draw(self) -> None:
        """Bring the bars up to date."""
        if self._bar is not None:
            for task, steps in zip(self._tasks, self.parts, strict=False):
                self._bar.update(task, completed=steps.done, total=steps.total, description=steps.what)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take the bars away while something else is printed."""
        if self._bar is not None:
            self._bar.stop()
        try:
            yield
        finally:
            if self._bar is not None:
                self._bar.start()

    def lines(self) -> list[str]:
        """A line for each part that has begun and is not complete; else for the one that comes next."""
        under_way = [each for each in self.parts if each.total is None or each.done < each.total]
        begun = [each for each in under_way if each.done] or under_way[:1]
        return [f"{each.what}: {each.numbers()}" for each in begun]


_SHOWN: ContextVar[Work | None] = ContextVar("shown", default=None)


def more(what: str, n: float) -> Steps:
    """`Work.more` of the `progress` in whose block this is called. Elsewhere nobody sees the steps.

    For loops deep inside work that do not know who shows its progress.
    """
    work = _SHOWN.get()
    return Steps(what, n) if work is None else work.more(what, n)


@contextmanager
def progress(console: Console, *, resumes: bool = True, erase: bool = False) -> Iterator[Work]:
    """Show the progress of what is done in the `with` block.

    resumes: whether the same command continues work that was stopped, which the last line then says. erase:
    leave nothing of short work at the end. In the block of the main thread, SIGTERM raises Terminated.
    """
    began = time.monotonic()
    bar = None
    if console.is_terminal and not console.quiet:
        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            _Numbers(),
            console=console,
            transient=erase,
            # The standard output may be a file.
            redirect_stdout=False,
        )
    work = Work(bar)
    over = threading.Event()
    teller = threading.Thread(
        target=_tell, args=(work, console, over), kwargs={"last": not erase}, name="progress", daemon=True
    )
    with _terminated():
        outer = _SHOWN.set(work)
        try:
            if bar is not None:
                bar.start()
            teller.start()
            yield work
        except KeyboardInterrupt:
            over.set()
            _end(work, bar, teller)
            done = "; ".join(f"{each.what}: {each.numbers()}" for each in work.parts if each.done)
            after = _time(time.monotonic() - began)
            console.print(
                f"Stopped after {after} ({done or 'before the first step'}). Repeat the command to "
                f"{'continue' if resumes else 'start again'}.",
                markup=False,
                soft_wrap=True,
            )
            raise
        finally:
            _SHOWN.reset(outer)
            over.set()
            _end(work, bar, teller)


def _time(seconds: float) -> str:
    """Hours, minutes and seconds."""
    return str(timedelta(seconds=round(seconds)))


def _end(work: Work, bar: Progress | None, teller: threading.Thread) -> None:
    if teller.ident is not None:
        teller.join()
    if bar is not None:
        work.draw()
        bar.stop()


def _tell(work: Work, console: Console, over: threading.Event, *, last: bool) -> None:
    """Redraw the bar, or print lines, until the work is over. last: print a line of each part then, too."""
    if console.is_terminal and not console.quiet:
        while not over.wait(0.1):
            work.draw()
        return
    wait = FIRST_S
    while not over.wait(wait):
        wait, last = min(2 * wait, EVERY_S), True
        for line in work.lines():
            console.print(line, markup=False, soft_wrap=True)
    if last:
        for each in work.parts:
            if each.total is not None and each.done >= each.total:
                console.print(f"{each.what}: {each.numbers()}", markup=False, soft_wrap=True)


class _Numbers(ProgressColumn):
    """Count, rate and time left."""

    def render(self, task: Task) -> Text:
        steps: Steps = task.fields["steps"]
        return Text(steps.numbers(), style="progress.data.speed")


@contextmanager
def _terminated() -> Iterator[None]:
    """Let SIGTERM raise Terminated within the `with` block, unless somebody else handles it."""
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    ):
        yield
        return

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise Terminated

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
