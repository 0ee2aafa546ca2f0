"""The driver of `atlas ingest --ray`: the steps of `ingest.circuits.run`, on the machines of a cluster.

1. plan      every worker loads the model and plans all prompts. Their plans must be equal
2. skip      ask the database, or the store, which circuits it has already
3. count     workers count what features fire on, share by share
4. attribute workers attribute shares; the result is packed as shards
5. write     writers load the shards, or put them into the store, in the order of the file

Shares and groups are cut from the whole file as in a single process, so the circuits are equal to the last
bit on equal devices with equally many threads. One writer keeps the order of the file, so the sums of the
database are equal, too. The driver holds no model.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple, Protocol

from rich.console import Console

from ingest.circuits.loader import resumable
from ingest.circuits.prompts import PromptFile, read_prompts
from ingest.circuits.run import IngestSettings, IngestSummary, PlannedCircuit, find_missing
from ingest.circuits.shards import find_missing_in, shares, sizes_of
from ingest.cluster.connection import ClusterSettings, connected, require_ray
from ingest.cluster.failures import checked
from ingest.cluster.pool import ATTEMPTS, Lost, reason_of
from ingest.cluster.starting import called, loading, start_workers, unequal
from ingest.cluster.workers import AttributionWorker, Computed, Plan, Ready
from ingest.cluster.writers import DatabaseAddress, DatabaseWriter, StoreWriter, WrittenShare
from ingest.labels.namer import CountedFirings, statistics_of
from ingest.progress import Steps, progress
from schema.database import Database
from schema.errors import InputError
from schema.loading.model_of_set import assign_model
from schema.loading.runs import end_ingest
from schema.shards.folder import write_failures
from schema.shards.store import Store

WRITES = 2
"""Writes that may wait for each writer. More would only take memory: workers wait instead."""


class Destination(Protocol):
    """Where circuits go."""

    def missing(self, planned: list[PlannedCircuit], summary: IngestSummary) -> list[PlannedCircuit]:
        """The circuits that are not there yet."""
        ...

    def begin(self, plan: Plan) -> None:
        """Get ready for circuits."""
        ...

    def writer(self) -> tuple[type, tuple[Any, ...]]:
        """The class of a writer and its arguments."""
        ...

    def end(self, ready: Ready, summary: IngestSummary) -> None:
        """All circuits are written."""
        ...


class IntoDatabase:
    """Circuits are loaded into a migrated database."""

    def __init__(self, database: Database, address: DatabaseAddress, settings: IngestSettings) -> None:
        self._database, self._address, self._settings = database, address, settings

    def missing(self, planned: list[PlannedCircuit], summary: IngestSummary) -> list[PlannedCircuit]:
        return find_missing(self._database, self._settings, planned, summary)[0]

    def begin(self, plan: Plan) -> None:
        assign_model(self._database, plan.transcoders, plan.model)

    def writer(self) -> tuple[type, tuple[Any, ...]]:
        return DatabaseWriter, (self._address,)

    def end(self, ready: Ready, summary: IngestSummary) -> None:
        self._database.wait_for_full_text()
        end_ingest(self._database, ready.run, summary.problems)


class IntoStore:
    """Circuits are written as shards."""

    def __init__(self, store: Store, settings: IngestSettings) -> None:
        """Raises InputError when the store cannot be used."""
        self._store, self._settings = store, settings
        store.create()
        self._there = sizes_of(store)

    def missing(self, planned: list[PlannedCircuit], summary: IngestSummary) -> list[PlannedCircuit]:
        return find_missing_in(self._store, self._there, self._settings, planned, summary)

    def begin(self, plan: Plan) -> None:
        pass

    def writer(self) -> tuple[type, tuple[Any, ...]]:
        return StoreWriter, (self._store.absolute, self._store.address)

    def end(self, ready: Ready, summary: IngestSummary) -> None:
        write_failures(self._store, ready.run, summary.problems)


def ingest_on_cluster(
    destination: Destination, settings: IngestSettings, cluster: ClusterSettings, *, console: Console
) -> IngestSummary:
    """Ingest a prompts file on the machines of a Ray cluster.

    The errors of single prompts are in the summary. Raises InputError when the prompts file or the cluster
    cannot be used, or when no worker can load the model, and DatabaseError when the database fails; circuits
    that were written before stay, and the same call goes on from there.
    """
    started, summary = time.monotonic(), IngestSummary()
    file = read_prompts(settings.prompts)
    summary.problems += file.problems
    with connected(cluster) as n_workers, resumable(lambda: summary.loaded):
        driver = _Driver(cluster, settings, file, summary, console)
        driver.start(n_workers)
        missing = destination.missing(driver.plan.planned, summary)
        if missing:
            destination.begin(driver.plan)
            driver.work(destination, {each.key for each in missing})
        destination.end(driver.ready, summary)
    summary.seconds = time.monotonic() - started
    return summary


class _Driver:
    """Makes actors and gives them work."""

    def __init__(
        self,
        cluster: ClusterSettings,
        settings: IngestSettings,
        file: PromptFile,
        summary: IngestSummary,
        console: Console,
    ) -> None:
        self._ray = require_ray()
        self._cluster, self._settings, self._file = cluster, settings, file
        self._summary, self._console = summary, console

    def start(self, n_workers: int) -> None:
        """Start workers and take the plan of one. Raises InputError when they cannot do the same."""
        lines = self._ray.put(self._file.prompts)
        with self._console.status(loading(n_workers, self._settings)):
            started = start_workers(
                AttributionWorker, self._settings, self._cluster, n_workers, self._console, lines
            )
            self.ready: Ready = started.ready[0]
            for other in started.ready[1:]:
                require_equal(self.ready, other)
            self.plan: Plan = checked(called(started.workers[0].plan.remote()))
        self._summary.problems += [InputError(what, next_step=step) for what, step in self.plan.problems]
        self._say(self.plan.notes[0])
        self._summary.notes += self.plan.notes[1:]
        self._shares = list(shares(self.plan.planned))
        self._pool = started.pool

    def work(self, destination: Destination, wanted: set[str]) -> None:
        """Count, attribute and write."""
        with progress(self._console) as work:
            counting = work.add("prompts whose features are counted", len(self.plan.planned))
            writing = work.add("circuits", len(wanted))
            statistics = self._ray.put(statistics_of(list(self._counts(counting))))
            class_, given = destination.writer()
            with _Writers(self._cluster.writers, class_, given, self._summary) as writers:
                for computed in self._computed(wanted, [statistics]):
                    self._take(computed)
                    writing.advance(computed.n_circuits + len(computed.problems))
                    writers.write(computed)

    def _counts(self, steps: Steps) -> Iterator[CountedFirings]:
        for share, result in self._pool.results(range(len(self._shares)), _count):
            if isinstance(result, Lost):
                first, last = (self._shares[share][place].line.line for place in (0, -1))
                raise InputError(
                    f"The prompts of lines {first} to {last} end the worker that counts features: "
                    f"{result.reason}",
                    next_step="give workers more memory, or take out the longest of these prompts",
                )
            steps.advance(len(self._shares[share]))
            yield checked(result)

    def _computed(self, wanted: set[str], statistics: list[Any]) -> Iterator[Computed]:
        of_share = {
            place: frozenset(each.key for each in share if each.key in wanted)
            for place, share in enumerate(self._shares)
        }
        work = {place: keys for place, keys in of_share.items() if keys}
        compute = partial(_compute, work, statistics)
        for share, result in self._pool.results(work, compute):
            yield self._failed(share, work[share], result) if isinstance(result, Lost) else checked(result)

    def _failed(self, share: int, keys: frozenset[str], lost: Lost) -> Computed:
        """One problem for each prompt of a share whose worker was lost each time."""
        step = f"it was lost {ATTEMPTS} times; look whether the machine has enough memory, and run again"
        problems = [
            (f"line {each.line.line}: its worker was lost ({lost.reason})", step)
            for each in self._shares[share]
            if each.key in keys
        ]
        return Computed([], 0, list(problems), [], [])

    def _take(self, computed: Computed) -> None:
        self._summary.problems += [InputError(what, next_step=step) for what, step in computed.problems]
        self._summary.edge_shares += computed.edge_shares
        for note in computed.notes:
            self._say(note)

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)


def _count(worker: Any, share: int) -> Any:
    return worker.count.remote(share)


def _compute(work: dict[int, frozenset[str]], statistics: list[Any], worker: Any, share: int) -> Any:
    return worker.compute.remote(share, work[share], statistics)


def require_equal(first: Ready, other: Ready) -> None:
    """Raises InputError when two workers would not compute the same circuits."""
    if (first.run.id, first.plan) == (other.run.id, other.plan):
        return
    one, two = ({**each.run.settings, **each.run.versions} for each in (first, other))
    raise unequal((first.node, other.node), "circuits", one, two)


class _Write(NamedTuple):
    """A write that is under way."""

    reference: Any
    again: Callable[[], Any]
    """Starts it again."""
    computed: Computed


class _Writers:
    """A few actors that write. `write` waits while too many writes wait: that holds the workers back."""

    def __init__(self, count: int, class_: type, given: tuple[Any, ...], summary: IngestSummary) -> None:
        self._ray = require_ray()
        # Writers wait for the database or the store most of the time, so that they need no core of their own.
        make = self._ray.remote(class_).options(num_cpus=0, max_restarts=-1, max_task_retries=-1)
        self._writers = deque(make.remote(*given) for _ in range(count))
        self._under_way: deque[_Write] = deque()
        self._most = WRITES * count
        self._summary = summary

    def __enter__(self) -> "_Writers":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        while error is None and self._under_way:
            self._finish()

    def write(self, computed: Computed) -> None:
        """Write shards, by one writer after the other. Raises what `__exit__` and the writers raise."""
        if not computed.shards:
            return
        while len(self._under_way) >= self._most:
            self._finish()
        writer = self._writers[0]
        self._writers.rotate()

        def start() -> Any:
            return writer.write.remote(computed.shards, computed.n_circuits)

        self._under_way.append(_Write(start(), start, computed))

    def _finish(self) -> None:
        """Wait for the oldest write. Raises InputError or DatabaseError when it failed."""
        write = self._under_way.popleft()
        try:
            result = self._ray.get(write.reference)
        except self._ray.exceptions.RayError:
            result = self._again(write)
        written: WrittenShare = checked(result)
        self._summary.loaded += written.n_new
        self._summary.present += written.n_present

    def _again(self, write: _Write) -> Any:
        try:
            return self._ray.get(write.again())
        except self._ray.exceptions.RayError as error:
            raise InputError(
                f"A writer of the Ray cluster was lost: {reason_of(error)}",
                next_step="run the same command again; it resumes from there",
            ) from error
