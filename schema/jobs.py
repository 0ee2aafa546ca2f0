"""Jobs: requests for circuits, or for claims about circuits. The ingest service works on them.

1. request    queues a job; an equal request is the same job
2. take       gives the job to the worker that locks it first, and counts the attempt
   cancel     ends a job that is not done; its worker finds that it has lost the job
3. renew      extends the lease of the worker; False when another worker has the job now
4. finish     sets the job to done, or to failed when no prompt gave a circuit
   give_back  queues the job again when the worker must stop
   fail       queues the job again, or sets it to failed after `ATTEMPTS` attempts
5. delete     removes a job that has ended; a request removes those that ended first when they are too many

A lease that ends counts as a failed attempt: another worker may take the job until it has had `ATTEMPTS`
attempts. All times are those of the database, so that the clocks of workers do not matter.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import orjson

from schema.circuit.records import stable_id
from schema.database import Database, Rows, Transaction
from schema.errors import LimitError, NotFoundError

ATTEMPTS = 3
"""Number of attempts after which a job fails."""
MOST_DELETED = 1000
"""Jobs that one request deletes at most, to make room."""
LEASE_S = 60.0
"""Seconds after which a lease ends unless the worker renews it."""


class JobState(StrEnum):
    """State of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class RequestedPrompt(NamedTuple):
    """A prompt whose circuit is requested, with the fields of a line of a prompts file."""

    prompt: str
    family: str | None = None
    tags: tuple[str, ...] = ()
    expected: str | tuple[str, ...] | None = None
    """The expected answer, or all answers that are right."""
    target: Any = None
    """What to attribute: a token, or any value that a prompts file may have under `target`."""

    def line(self) -> str:
        """The line as JSON, without fields that are None or empty."""
        given = {name: value for name, value in self._asdict().items() if value not in (None, ())}
        return orjson.dumps(given, option=orjson.OPT_SORT_KEYS).decode()


class MostPrompts(NamedTuple):
    """The most prompts of all jobs."""

    open: int
    """Of jobs that are queued or running."""
    open_of_one: int
    """The same, of one author. Nobody checks the name of an author, so that `open` is the bound that
    holds."""
    ended: int
    """Of jobs that are done or failed. Those that ended first are deleted."""


class TakenJob(NamedTuple):
    """A job that a worker holds."""

    id: str
    lines: list[str]
    """JSON, one line for each prompt."""
    claim: str | None
    """JSON: the claim to measure on circuits; None when the job asks for circuits."""
    attempts: int
    """Number of attempts, including this one."""


def request(
    database: Database,
    wanted: Sequence[RequestedPrompt],
    asked_by: str,
    *,
    transcoders: str | None = None,
    claim: str | None = None,
    most: MostPrompts | None = None,
) -> str:
    """Request circuits, or a claim about stored circuits, and return the id of the job.

    An equal request is the same job. It is queued again if it failed, or if circuits of it were deleted.
    transcoders: id of the set, so that only a worker with this set takes the job; None: any worker.
    claim: JSON in the format of `ingest.evidence.claims.read_request`; `wanted` are then the prompts of its
    circuits. most: None for any number. Raises LimitError when more prompts would wait than `most` allows.
    Jobs that ended long ago are deleted when they have more prompts than `most` allows.
    """
    lines = [each.line() for each in wanted]
    key = stable_id("job", lines, asked_by, *(each for each in (transcoders, claim) if each is not None))
    parameters = {"id": key, "lines": lines, "by": asked_by, "transcoders": transcoders, "claim": claim}

    def work(transaction: Transaction) -> None:
        if transaction.run(_AS_REQUESTED, {"id": key}):
            return
        if most is not None:
            # Before anything is written: the prompts are long, and undoing takes as long as writing.
            (others,) = transaction.run(_OTHERS_OPEN, {"id": key, "by": asked_by})
            _check_open(most, asked_by, others["in_all"] + len(lines), others["of_one"] + len(lines))
        transaction.run(_REQUEST, parameters)
        transaction.run(_QUEUE_AGAIN, {"id": key})
        if most is not None:
            _make_room(transaction, most.ended)

    database.transaction(work)
    return key


def _check_open(most: MostPrompts, asked_by: str, in_all: int, of_one: int) -> None:
    for n, limit, whose in ((of_one, most.open_of_one, f" of {asked_by}"), (in_all, most.open, "")):
        if n > limit:
            raise LimitError(
                f"With this request {n} prompts{whose} would wait or be computed; the limit is {limit}",
                next_step="wait until jobs are done, or cancel some (`cancelJob`, `atlas job cancel ID`)",
            )


def _make_room(transaction: Transaction, most: int) -> None:
    """Delete the jobs that ended first, until those that ended have at most this many prompts."""
    (ended,) = transaction.run(_ENDED, {})
    excess, chosen = ended["n_prompts"] - most, []
    if excess <= 0:
        return
    for each in transaction.run(_OLDEST, {"limit": MOST_DELETED}):
        if excess <= 0:
            break
        chosen.append(each["id"])
        excess -= each["n_prompts"]
    transaction.run(_DELETE, {"ids": chosen})


def delete(database: Database, job: str) -> bool:
    """Delete a job that is done or failed; its circuits stay. False when the job has not ended.

    Raises NotFoundError for an unknown id.
    """
    _require(database, job)
    return bool(database.write(_DELETE, {"ids": [job]})[0]["n"])


def delete_ended(database: Database, days: float) -> int:
    """Delete the jobs that ended more than this many days ago, and return their number.

    Their circuits stay.
    """
    deleted: int = database.write(_DELETE_ENDED, {"ms": round(86_400_000 * days)})[0]["n"]
    return deleted


def cancel(database: Database, job: str, by: str) -> bool:
    """Set a job that is queued or running to failed. False when it has ended already.

    by: who cancels it, which the job's error says. The circuits that were loaded stay. Raises NotFoundError
    for an unknown id.
    """
    _require(database, job)

    def work(transaction: Transaction) -> bool:
        transaction.run(_LOCK, {"id": job})
        return bool(transaction.run(_CANCEL, {"id": job, "error": f"cancelled by {by}"}))

    return database.transaction(work)


def _require(database: Database, job: str) -> None:
    if not database.read("MATCH (j:Job {id: $id}) RETURN j.id AS id", {"id": job}):
        raise NotFoundError(
            f"There is no job {job}", next_step="list the ids with `jobs` in GraphQL or `atlas job list`"
        )


def retry(database: Database, job: str) -> bool:
    """Queue a failed job again. False when the job has not failed. Raises NotFoundError for an unknown id."""
    _require(database, job)

    def work(transaction: Transaction) -> bool:
        transaction.run(_LOCK, {"id": job})
        return bool(transaction.run(_RETRY, {"id": job}))

    return database.transaction(work)


def take(
    database: Database, worker: str, *, transcoders: str | None = None, lease_s: float = LEASE_S
) -> TakenJob | None:
    """Take the oldest job that waits, or whose lease ended. None when there is no such job.

    worker: a name that no other worker has; transcoders: id of the set that the worker has, which leaves jobs
    for other sets; lease_s: seconds after which the lease ends unless it is renewed.
    """
    while found := database.read(_NEXT, {"transcoders": transcoders}):
        job = found[0]["id"]

        def work(transaction: Transaction, job: str = job) -> Rows:
            # Lock before reading: if two workers saw the job waiting, the second now sees that it is taken.
            transaction.run(_LOCK, {"id": job})
            transaction.run(_GIVE_UP, {"id": job, "most": ATTEMPTS})
            return transaction.run(_TAKE, {"id": job, "worker": worker, "ms": round(1000 * lease_s)})

        if taken := database.transaction(work):
            return TakenJob(**taken[0])
    return None


def renew(
    database: Database, job: str, worker: str, *, n_done: int | None = None, lease_s: float = LEASE_S
) -> bool:
    """Renew the lease and record the number of finished prompts. False when the worker lost the job."""
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
    """Set the job to done, or to failed when it has no circuit. False when the worker lost the job.

    circuits: ids of the circuits of the job; problems: errors of single prompts; measured: id of the claim
    that was measured.
    """
    given = {"circuits": list(circuits), "problems": list(problems), "measured": measured}
    return _as_owner(database, _FINISH, job, worker, given)


def give_back(database: Database, job: str, worker: str) -> bool:
    """Queue the job again without counting the attempt. False when the worker lost the job."""
    return _as_owner(database, _GIVE_BACK, job, worker, {})


def fail(database: Database, job: str, worker: str, error: str, *, again: bool = True) -> bool:
    """Queue the job again after a failed attempt, or set it to failed after the last one.

    again: whether another attempt may succeed. False when the worker lost the job.
    """
    return _as_owner(database, _FAIL, job, worker, {"error": error, "most": ATTEMPTS if again else 0})


def why_lost(database: Database, job: str) -> str:
    """Why a worker that had the job has it no longer."""
    rows = database.read("MATCH (j:Job {id: $id}) RETURN j.state AS state, j.error AS error", {"id": job})
    if not rows:
        return "it was deleted"
    if rows[0]["state"] == JobState.FAILED:
        return str(rows[0]["error"])
    return "another worker has it now"


def _as_owner(database: Database, text: str, job: str, worker: str, given: Mapping[str, object]) -> bool:
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

_GAVE_LESS = """(j.state = "failed"
   OR j.state = "done" AND COUNT { (j)-[:GAVE]->(:Circuit) } + size(j.problems) < j.n_prompts)"""

_AS_REQUESTED = f"MATCH (j:Job {{id: $id}}) WHERE NOT {_GAVE_LESS} RETURN j.id AS id"

_QUEUE_AGAIN = f"""
MATCH (j:Job {{id: $id}})
WHERE {_GAVE_LESS}
SET j.state = "queued", j.n_done = 0, j.attempts = 0, j.problems = [], j.error = null, j.ended_at = null
"""

_OTHERS_OPEN = """
MATCH (j:Job) WHERE j.state IN ["queued", "running"] AND j.id <> $id
RETURN sum(j.n_prompts) AS in_all, sum(CASE WHEN j.asked_by = $by THEN j.n_prompts ELSE 0 END) AS of_one
"""

_ENDED = """
MATCH (j:Job) WHERE j.state IN ["done", "failed"] RETURN sum(j.n_prompts) AS n_prompts
"""

_OLDEST = """
MATCH (j:Job) WHERE j.state IN ["done", "failed"]
RETURN j.id AS id, j.n_prompts AS n_prompts ORDER BY j.ended_at, j.id LIMIT $limit
"""

# A job that was queued again meanwhile stays.
_DELETE = """
UNWIND $ids AS id
MATCH (j:Job {id: id}) SET j.id = j.id
WITH j WHERE j.state IN ["done", "failed"]
DETACH DELETE j
RETURN count(*) AS n
"""

_DELETE_ENDED = """
MATCH (j:Job) WHERE j.state IN ["done", "failed"]
  AND j.ended_at <= datetime.realtime() - duration({milliseconds: $ms})
SET j.id = j.id
WITH j WHERE j.state IN ["done", "failed"]
DETACH DELETE j
RETURN count(*) AS n
"""

_CANCEL = """
MATCH (j:Job {id: $id}) WHERE j.state IN ["queued", "running"]
SET j.state = "failed", j.error = $error, j.ended_at = datetime.realtime(), j.taken_by = null,
    j.taken_until = null
RETURN j.id AS id
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
