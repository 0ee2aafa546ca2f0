"""The ingest service: it takes a job, computes the job's circuits or measures its claim, and takes the next.

A job is leased to one worker at a time, and a thread renews the lease however long a circuit takes. A worker
whose process was stopped for longer than the lease loses its job to another worker, and leaves the job to it.
Circuits that both workers compute are loaded once, because their ids are known before they are computed.
"""

import os
import secrets
import socket
import threading
from dataclasses import replace
from typing import Any

from rich.console import Console

from ingest.circuits.prompts import read_lines
from ingest.circuits.run import Attributor, IngestSettings, ingest_job
from ingest.engine.errors import EngineError, SettingError
from ingest.evidence.claims import measure, requested
from ingest.evidence.named_edits import grouped_edits, plain_edits
from schema.counted import counted
from schema.database import Database
from schema.errors import AtlasError, InputError, NotFoundError, UnreachableError
from schema.evidence.claims import keep_claim
from schema.jobs import LEASE_S, TakenJob, fail, finish, give_back, renew, take, why_lost
from schema.renewal import renewed

POLL_S = 1.0
"""How often an idle worker looks for a job, in seconds."""


class _Stopped(Exception):
    """The worker was told to stop, or it lost its job."""


def watch(
    database: Database,
    settings: IngestSettings,
    stop: threading.Event,
    *,
    console: Console,
    once: bool = False,
    lease_s: float = LEASE_S,
) -> int:
    """Take jobs until `stop` is set, and return how many were finished.

    When `stop` is set during a job, the job is queued again. An error during a job is written into the job,
    and the worker goes on with the next one. While no database answers, the worker waits.

    settings: of all circuits; `prompts` is not used. once: return when no job waits. lease_s: seconds
    after which another worker takes the job of a worker that died. Raises EngineError when the model cannot
    be used.
    """
    with console.status(f"Loading the model {settings.model.name} …"):
        attributor = Attributor(settings.load_model(), settings)
    worker = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    console.print(f"Worker {worker} waits for jobs.", markup=False, soft_wrap=True)
    finished = 0
    while not stop.is_set():
        try:
            job = take(database, worker, transcoders=attributor.transcoders_record.id, lease_s=lease_s)
            if job is not None:
                finished += _Worker(database, attributor, worker, job, stop, lease_s, console).run()
                continue
        except UnreachableError as error:
            # When the lease is over, this worker or another one takes the unfinished job again.
            console.print(f"waiting: {error.what}", markup=False, soft_wrap=True)
        if once:
            break
        stop.wait(POLL_S)
    return finished


class _Worker:
    """One worker with one job."""

    def __init__(
        self,
        database: Database,
        attributor: Attributor,
        worker: str,
        job: TakenJob,
        stop: threading.Event,
        lease_s: float,
        console: Console,
    ) -> None:
        self._database = database
        self._attributor = attributor
        self._worker = worker
        self._job = job
        self._stop = stop
        self._lease_s = lease_s
        self._console = console
        self._lost = threading.Event()

    def run(self) -> bool:
        """Work on the job; returns whether it was finished."""
        job, database, worker = self._job, self._database, self._worker
        self._say(f"{counted(len(job.lines), 'prompt')}, attempt {job.attempts}")
        try:
            with renewed(
                lambda: renew(database, job.id, worker, lease_s=self._lease_s), self._lease_s
            ) as lost:
                self._lost = lost
                said, done = self._circuits() if job.claim is None else self._claim(job.claim)
            ended = finish(database, job.id, worker, **done)
            self._say(said if ended else why_lost(database, job.id))
            return ended
        except _Stopped:
            if self._lost.is_set():
                self._say(why_lost(database, job.id))
            else:
                give_back(database, job.id, worker)
                self._say("queued again")
        except UnreachableError:
            raise
        except KeyboardInterrupt:
            give_back(database, job.id, worker)
            raise
        except (InputError, NotFoundError, SettingError) as error:
            # The request itself is wrong, so a second attempt would fail too.
            self._fail(str(error), again=False)
        except (AtlasError, EngineError) as error:
            self._fail(str(error))
        except Exception as error:  # noqa: BLE001  a job that fails must not stop the next one
            self._fail(f"{type(error).__name__}: {error}")
        return False

    def _circuits(self) -> tuple[str, dict[str, Any]]:
        """Compute the circuits: what to print, and what to finish the job with."""
        file = read_lines(self._job.lines, f"job {self._job.id}")
        summary, circuits = ingest_job(
            *(self._database, self._attributor, file.prompts),
            name=f"job {self._job.id}",
            check=self._check,
            step=self._step,
            say=self._say,
        )
        problems = [str(problem) for problem in (*file.problems, *summary.problems)]
        return summary.sentence(), {"circuits": circuits, "problems": problems}

    def _claim(self, text: str) -> tuple[str, dict[str, Any]]:
        database, attributor, n_done = self._database, self._attributor, 0

        def step() -> None:
            nonlocal n_done
            n_done += 1
            self._step(n_done)

        settings = attributor.settings
        claim = requested(text, attributor.transcoders_record.id, settings.model, settings.transcoders)
        claim = replace(claim, edits=tuple(grouped_edits(database, claim.transcoders, claim.edits)))
        outcome, tested = measure(
            *(database, attributor.model, claim, plain_edits(database, claim.transcoders, claim.edits)),
            step=step,
        )
        keep_claim(database, claim, outcome, tested)
        done = {"circuits": claim.circuits, "problems": [], "measured": claim.id}
        return f"claim {claim.id}: effect {outcome.effect:+.3f}, p = {outcome.p:.3g}", done

    def _fail(self, error: str, *, again: bool = True) -> None:
        fail(self._database, self._job.id, self._worker, error, again=again)
        self._say(f"failed: {error}")

    def _check(self) -> None:
        if self._stop.is_set() or self._lost.is_set():
            raise _Stopped

    def _step(self, n_done: int) -> None:
        self._check()
        if not renew(self._database, self._job.id, self._worker, n_done=n_done, lease_s=self._lease_s):
            self._lost.set()
            raise _Stopped
        self._say(f"{n_done} of {len(self._job.lines)}")

    def _say(self, what: str) -> None:
        self._console.print(f"job {self._job.id}: {what}", markup=False, soft_wrap=True)
