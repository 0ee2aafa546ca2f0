"""Watches jobs for all subscriptions of a server: one question to the database for all that is watched."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

from api.request.batching import Loaders
from api.request.limits import Limits
from schema.errors import LimitError
from schema.questions.jobs import JOB_CHANGES, JobChangeRow

POLL_S = 0.5
"""Seconds between the questions. Another process writes the jobs, so they must be read again."""


class _Watched:
    """One job that somebody watches."""

    def __init__(self) -> None:
        self.n_watchers = 0
        self.row: JobChangeRow | None = None
        """What was read last; None: not read yet, or there is no such job."""
        self.error: Exception | None = None
        """Why nothing could be read."""
        self.n_reads = 0
        self.changed = asyncio.Event()
        """Set, and replaced, whenever one of the others changes."""


class JobWatch:
    """The jobs that are watched."""

    def __init__(self, loaders: Loaders, limits: Limits) -> None:
        """loaders: ask the database; they belong to no client."""
        self._loaders, self._limits = loaders, limits
        self._watched: dict[str, _Watched] = {}
        self._clients: Counter[str] = Counter()
        self._polling: asyncio.Task[None] | None = None

    async def changes(self, client: str, job: str) -> AsyncGenerator[JobChangeRow | None, None]:
        """The job now and whenever it changes; None when there is no such job.

        Raises LimitError when the client watches too much, and what the database raises.
        """
        with self._watching(client, job) as watched:
            n_seen, seen = 0, None
            while True:
                changed = watched.changed
                if watched.error is not None:
                    raise watched.error
                if watched.n_reads > n_seen and (n_seen == 0 or watched.row != seen):
                    n_seen, seen = watched.n_reads, watched.row
                    yield seen
                else:
                    await changed.wait()

    @contextmanager
    def _watching(self, client: str, job: str) -> Iterator[_Watched]:
        if self._clients[client] >= self._limits.client_subscriptions:
            raise LimitError(
                f"This client has {self._clients[client]} subscriptions, which is its limit",
                next_step="end one of them, or ask for `jobs` in a query",
            )
        watched = self._watched.setdefault(job, _Watched())
        watched.n_watchers += 1
        self._clients[client] += 1
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll())
        try:
            yield watched
        finally:
            watched.n_watchers -= 1
            if not watched.n_watchers:
                del self._watched[job]
            self._clients[client] -= 1
            if not self._clients[client]:
                del self._clients[client]

    async def _poll(self) -> None:
        """Reads what is watched until nothing is."""
        while self._watched:
            asked = dict(self._watched)
            error: Exception | None = None
            rows: dict[str, JobChangeRow] = {}
            try:
                found = await self._loaders.renewed().ask(JOB_CHANGES, keys=list(asked))
                rows = {row.key: row for row in found}
            except Exception as raised:  # noqa: BLE001  whoever watches is told
                error = raised
            for job, watched in asked.items():
                if watched.n_reads == 0 or (watched.row, watched.error) != (rows.get(job), error):
                    watched.row, watched.error = rows.get(job), error
                    watched.n_reads += 1
                    watched.changed.set()
                    watched.changed = asyncio.Event()
            await asyncio.sleep(POLL_S)
