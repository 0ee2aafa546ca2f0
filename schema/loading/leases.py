"""Leases on runs: while a process loads circuits of a run, no other deletes them, and the other way round.

1. announce  write a lease; the database's clock says when it ends
2. look      refuse when another process has a lease that excludes this one, and withdraw the own lease
3. renew     a thread renews the lease while the work lasts
4. end       delete the lease

Loads of one run can work beside each other; a deletion works alone. When two processes announce at the same
moment, each sees the other's lease, so at least one is refused. The lease of a process that was killed ends
after `LEASE_S` seconds.
"""

import os
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import StrEnum

from schema.counted import counted
from schema.database import Database
from schema.errors import ConflictError, DatabaseError
from schema.renewal import renewed

LEASE_S = 30.0
"""Seconds after which a lease ends unless it is renewed."""


class Doing(StrEnum):
    """What a process does with the circuits of a run."""

    LOADING = "loading"
    DELETING = "deleting"


@contextmanager
def leased(
    database: Database, doing: Doing, runs: Sequence[str], *, lease_s: float = LEASE_S
) -> Iterator[Callable[[], None]]:
    """Hold a lease on runs inside the block. runs: ids; a run need not be stored yet.

    Gives a function that raises ConflictError when the lease was lost, because this process was stopped for
    longer than `lease_s` seconds; call it before each transaction. Raises ConflictError, which names the
    other process, when another one works on a run and the two exclude each other.
    """
    process = f"process {os.getpid()} on {socket.gethostname()}"
    id_ = secrets.token_hex(16)
    lease = {"id": id_, "doing": doing, "process": process, "runs": list(runs)}
    database.write(_ANNOUNCE, {"lease": lease, "ms": round(1000 * lease_s)})
    try:
        others = database.write(_OTHERS, {"id": id_})
        if others:
            raise _refusal(doing, others[0])
        again = {"id": id_, "ms": round(1000 * lease_s)}
        with renewed(lambda: bool(database.write(_RENEW, again)), lease_s) as lost:

            def require() -> None:
                if lost.is_set():
                    raise ConflictError(
                        f"This process was stopped for {lease_s:g} s or more, and its lease on the run ended",
                        next_step="run the same command again; it resumes",
                    )

            yield require
    finally:
        # When the database is gone, the lease ends by itself; the error of the work says more.
        with suppress(DatabaseError):
            database.write("MATCH (l:Lease {id: $id}) DELETE l", {"id": id_})


def _refusal(doing: Doing, other: dict[str, object]) -> ConflictError:
    what = "load circuits of" if doing is Doing.LOADING else "delete circuits of"
    seconds = counted(int(str(other["seconds"])), "second")
    return ConflictError(
        f"Cannot {what} run {other['run']}: {other['process']} is {other['doing']} circuits of it",
        next_step=f"wait until that process ends, or stop it; if it was killed, its lease ends in {seconds}",
    )


# -- Cypher; every value from outside is a parameter

_ANNOUNCE = """
CREATE (l:Lease) SET l = $lease, l.until = datetime.realtime() + duration({milliseconds: $ms})
"""

# A lease that ended is deleted, so that a process that was stopped sees that it lost the lease.
_OTHERS = """
CALL () { MATCH (l:Lease) WHERE l.until < datetime.realtime() AND l.id <> $id DELETE l }
MATCH (mine:Lease {id: $id}), (l:Lease)
WHERE l <> mine AND "deleting" IN [l.doing, mine.doing] AND any(r IN l.runs WHERE r IN mine.runs)
RETURN l.process AS process, l.doing AS doing, head([r IN l.runs WHERE r IN mine.runs]) AS run,
       toInteger(ceil(duration.inSeconds(datetime.realtime(), l.until).seconds)) + 1 AS seconds
ORDER BY l.id LIMIT 1
"""

_RENEW = """
MATCH (l:Lease {id: $id}) SET l.until = datetime.realtime() + duration({milliseconds: $ms}) RETURN l.id AS id
"""
