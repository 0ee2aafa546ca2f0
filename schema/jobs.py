"""Jobs: circuits, or claims about them, that somebody asks for; the ingest service takes them.

1. request  queued; the same request again is the same job
2. take     running, for the worker that locked it first; `attempts` grows
3. renew    the lease, while it is worked on; False: another worker has it now
4. finish   done, or failed when no prompt gave a circuit
   give_back queued again, when the worker is told to stop; fail: queued again, or failed after `ATTEMPTS`

A lease that ended is an attempt that failed: its job is taken again, after `ATTEMPTS` of them it is failed.
All times are those of the database, so that workers' clocks do not matter.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import orjson

from schema.circuit.records import stable_id
from schema.database import Database, Transaction
from schema.errors import NotFoundError

ATTEMPTS = 3
"""Attempts after which a job is failed."""
LEASE_S = 60.0
"""How long a worker may be silent before its job is taken by another, in seconds."""


class JobState(StrEnum):
    """Where a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class RequestedPrompt(NamedTuple):
    """One prompt whose circuit is asked for, as a line of a prompts file."""

    prompt: str
    family: str | None = None
    tags: tuple[str, ...] = ()
    expected: str | None = None
    target: Any = None
    """What to attribute: a token, or what a prompts file may say under `target`."""

    def line(self) -> str:
        """The JSON line: what is None or empty is left out."""
        given = {name: value for name, value in self._asdict().items() if value not in (None, ())}
        return orjson.dumps(given, option=orjson.OPT_SORT_KEYS).decode()


class TakenJob(NamedTuple):
    """A job that a worker has."""

    id: str
    lines: list[str]
    """JSON, one for each prompt."""
    claim: str | None
    """JSON: what to measure on circuits; None: the circuits are wanted."""
    attempts: int
    """This one counted."""


def request(
    database: Database,
    wanted: Sequence[RequestedPrompt],
    asked_by: str,
    *,
    transcoders: str | None = None,
    claim: str | None = None,
) -> str:
    """Ask for circuits, or for a claim about circuits that are there; the job's id.

    transcoders: id of the set, which only a worker that has it takes; None: any worker. claim: JSON, as
    `ingest.evidence.claims.read_request` has it; `wanted` are the prompts of its circuits then.
    The same request again is the same job; if that failed, or circuits of it were deleted since, it is queued
    again.
    """
    lines = [each.line() for each in wanted]
    key = stable_id("job", lines, asked_by, *(each for each in (transcoders, claim) if each is not None))
    parameters = {"id": key, "lines": lines, "by": asked_by, "transcoders": transcoders, "claim": claim}

    def work(transaction: Transaction) -> None:
        transaction.run(_REQUEST, parameters)
        transaction.run(_QUEUE_AGAIN, {"id": key})

    database.transaction(work)
    return key


def retry(database: Database, job: str) -> bool:
    """Queue a failed job again; False when it is not failed. Raises NotFoundError."""
    if not database.read("MATCH (j:Job {id: $id}) RETURN j.id AS id", {"id": job}):
        raise NotFoundError(f"There is no job {job}", next_step="`jobs` in GraphQL lists them")

    def work(transaction: Transaction) -> bool:
        transaction.run(_LOCK, {"id": job})
        return bool(transaction.run(_RETRY, {"id": job}))

    return database.transaction(work)


def take(
    database: Database, worker: str, *, transcoders: str | None = None, lease_s: float = LEASE_S
) -> TakenJob | None:
    """The oldest job that waits or whose worker fell silent, now of this worker; None when there is none.

    worker: a name that no other worker has; transcoders: id of the set that it has, jobs for others are left;
    lease_s: seconds until it must be renewed.
    """
    while found := database.read(_NEXT, {"transcoders": transcoders}):
        job = found[0]["id"]

        def work(transaction: Transaction, job: str = job) -> list[dict[str, Any]]:
            # Locked first, looked at then: of two that saw it waiting, the second sees that it is taken.
            transaction.run(_LOCK, {"id": job})
            transaction.run(_GIVE_UP, {"id": job, "most": ATTEMPTS})
            return transaction.run(_TAKE, {"id": job, "worker": worker, "ms": round(1000 * lease_s)})

        if taken := database.transaction(work):
            return TakenJob(**taken[0])
    return None


def renew(
    database: Database, job: str, worker: str, *, n_done: int | None = None, lease_s: float = LEASE_S
) -> bool:
    """Renew the lease, and say how many prompts are finished; False when the worker has the job no more."""
    given = {"n_done": n_done, "ms": round(1000 * lease_s)}
    return _as_owner(database, _RENEW, job, worker, given)


def finish(
    database: Database,
    job: str,
    worker: str,
    *,
    circuits: Sequence[str],
    problems: Sequence[str],
    measured: str | None = None,
) -> bool:
    """The job is done, or failed when none of its circuits is there; False when the worker has it no more.

    circuits: ids of those that were to be made; problems: what was wrong with single prompts; measured: id of
    the claim that it gave.
    """
    given = {"circuits": list(circuits), "problems": list(problems), "measured": measured}
    return _as_owner(database, _FINISH, job, worker, given)


def give_back(database: Database, job: str, worker: str) -> bool:
    """Queue the job again: the attempt does not count. False when the worker has it no more."""
    return _as_owner(database, _GIVE_BACK, job, worker, {})


def fail(database: Database, job: str, worker: str, error: str, *, again: bool = True) -> bool:
    """The attempt failed: queued again, or failed when it was the last. False as above.

    again: whether another attempt may fare better.
    """
    return _as_owner(database, _FAIL, job, worker, {"error": error, "most": ATTEMPTS if again else 0})


def _as_owner(database: Database, text: str, job: str, worker: str, given: dict[str, Any]) -> bool:
    def work(transaction: Transaction) -> bool:
        transaction.run(_LOCK, {"id": job})
        return bool(transaction.run(text, {"id": job, "worker": worker, **given}))

    return database.transaction(work)


# -- Cypher; every value from outside is a parameter

_LOCK = "MATCH (j:Job {id: $id}) SET j.id = j.id"

_REQUEST = """
MERGE (j:Job {id: $id})
ON CREATE SET j.prompts = $lines, j.asked_by = $by, j.asked_at = datetime.realtime(), j.state = "queued",
              j.n_prompts = size($lines), j.n_done = 0, j.attempts = 0, j.problems = [],
              j.transcoders = $transcoders, j.claim = $claim
"""

_QUEUE_AGAIN = """
MATCH (j:Job {id: $id})
WHERE j.state = "failed"
   OR j.state = "done" AND COUNT { (j)-[:GAVE]->(:Circuit) } + size(j.problems) < j.n_prompts
SET j.state = "queued", j.n_done = 0, j.attempts = 0, j.problems = [], j.error = null, j.ended_at = null
"""

_RETRY = """
MATCH (j:Job {id: $id, state: "failed"})
SET j.state = "queued", j.n_done = 0, j.attempts = 0, j.problems = [], j.error = null, j.ended_at = null
RETURN j.id AS id
"""

_NEXT = """
MATCH (j:Job)
WHERE (j.state = "queued" OR j.state = "running" AND j.taken_until < datetime.realtime())
  AND ($transcoders IS NULL OR coalesce(j.transcoders, $transcoders) = $transcoders)
RETURN j.id AS id ORDER BY j.asked_at, j.id LIMIT 1
"""

_GIVE_UP = """
MATCH (j:Job {id: $id, state: "running"})
WHERE j.taken_until < datetime.realtime() AND j.attempts >= $most
SET j.state = "failed", j.ended_at = datetime.realtime(), j.taken_by = null, j.taken_until = null,
    j.error = "its worker fell silent, " + $most + " times in all"
"""

_TAKE = """
MATCH (j:Job {id: $id})
WHERE j.state = "queued" OR j.state = "running" AND j.taken_until < datetime.realtime()
SET j.state = "running", j.attempts = j.attempts + 1, j.n_done = 0, j.taken_by = $worker,
    j.taken_until = datetime.realtime() + duration({milliseconds: $ms})
RETURN j.id AS id, j.prompts AS lines, j.claim AS claim, j.attempts AS attempts
"""

_RENEW = """
MATCH (j:Job {id: $id, state: "running", taken_by: $worker})
SET j.n_done = coalesce($n_done, j.n_done),
    j.taken_until = datetime.realtime() + duration({milliseconds: $ms})
RETURN j.id AS id
"""

_FINISH = """
MATCH (j:Job {id: $id, state: "running", taken_by: $worker})
CALL (j) {
  UNWIND $circuits AS circuit
  MATCH (c:Circuit {id: circuit})
  MERGE (j)-[:GAVE]->(c)
  RETURN count(*) AS there
}
SET j.state = CASE there WHEN 0 THEN "failed" ELSE "done" END, j.n_done = j.n_prompts, j.problems = $problems,
    j.error = CASE there WHEN 0 THEN "no prompt gave a circuit" END, j.ended_at = datetime.realtime(),
    j.taken_by = null, j.taken_until = null, j.measured = $measured
RETURN j.id AS id
"""

_GIVE_BACK = """
MATCH (j:Job {id: $id, state: "running", taken_by: $worker})
SET j.state = "queued", j.attempts = j.attempts - 1, j.taken_by = null, j.taken_until = null
RETURN j.id AS id
"""

_FAIL = """
MATCH (j:Job {id: $id, state: "running", taken_by: $worker})
SET j.state = CASE WHEN j.attempts >= $most THEN "failed" ELSE "queued" END, j.error = $error,
    j.ended_at = CASE WHEN j.attempts >= $most THEN datetime.realtime() END,
    j.taken_by = null, j.taken_until = null
RETURN j.id AS id
"""
