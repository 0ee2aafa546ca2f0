"""The ledger of runs: what `atlas ingest` or `atlas import` was asked, and what became of each input.

The entry of a loaded input is written in the transaction that loads its circuit (`schema.loading.load`), so
the ledger never says more, or less, than what is there. The same call again goes on where the run was
stopped.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from schema.circuit.records import Run, stable_id
from schema.database import Database
from schema.loading.rows import run_row


@dataclass(frozen=True, slots=True)
class Entry:
    """One input of a run."""

    key: str
    """What it is told by when the run is called again, such as a hash of the file."""
    name: str
    """For people: the file's path, or the line."""
    reason: str | None = None
    """Why it was refused."""

    def row(self, run_id: str, outcome: str) -> dict[str, str | None]:
        """The node's properties."""
        return {
            "id": stable_id(run_id, self.key),
            "key": self.key,
            "name": self.name,
            "outcome": outcome,
            "reason": self.reason,
        }


class RunSummary(NamedTuple):
    """One run, as `atlas runs` shows it."""

    id: str
    settings: str
    """JSON."""
    started_at: datetime | None
    """None when the database is older than the ledger."""
    ended_at: datetime | None
    """None when the run was stopped, or goes on."""
    n_circuits: int
    n_loaded: int
    n_present: int
    n_refused: int


def begin(database: Database, run: Run) -> None:
    """Say that a run begins, or goes on."""
    database.write(_BEGIN, {"run": run_row(run)})


def end(database: Database, run: Run) -> None:
    """Say that a run came to its end."""
    database.write("MATCH (r:Run {id: $id}) SET r.ended_at = datetime()", {"id": run.id})


def done(database: Database, run: Run) -> dict[str, str]:
    """The keys of inputs that need no second look, each with the id of its circuit."""
    rows = database.read(_DONE, {"id": run.id})
    return {row["key"]: row["circuit"] for row in rows}


def refuse(database: Database, run: Run, entries: Iterable[Entry]) -> None:
    """Write down inputs that gave no circuit, each with its reason."""
    rows = [entry.row(run.id, "refused") for entry in entries]
    database.write(_REFUSE, {"run": run_row(run), "entries": rows})


def give(database: Database, run: Run, entries: Iterable[tuple[Entry, str, bool]]) -> None:
    """Write down inputs whose circuits came in a bulk import: (entry, circuit's id, whether it was new)."""
    rows = [
        {"entry": entry.row(run.id, "loaded" if new else "present"), "circuit": circuit}
        for entry, circuit, new in entries
    ]
    database.write(_GIVE, {"id": run.id, "rows": rows})


def runs(database: Database) -> list[RunSummary]:
    """All runs, the newest first; those without a date last."""
    return [RunSummary(**_native(row)) for row in database.read(_RUNS)]


def refusals(database: Database, run_id: str) -> list[tuple[str, str]]:
    """(name, reason) of the inputs that a run refused, by name."""
    rows = database.read(_REFUSALS, {"id": run_id})
    return [(row["name"], row["reason"]) for row in rows]


def _native(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value.to_native() if hasattr(value, "to_native") else value for key, value in row.items()}


_BEGIN = """
MERGE (r:Run {id: $run.id}) ON CREATE SET r = $run
SET r.started_at = coalesce(r.started_at, datetime())
REMOVE r.ended_at
"""

_DONE = """
MATCH (:Run {id: $id})-[:LISTS]->(e:Entry)-[:GAVE]->(c:Circuit)
RETURN e.key AS key, c.id AS circuit
"""

_REFUSE = """
MERGE (r:Run {id: $run.id}) ON CREATE SET r = $run
WITH r
UNWIND $entries AS row
MERGE (e:Entry {id: row.id})
SET e = row
MERGE (r)-[:LISTS]->(e)
"""

_GIVE = """
MATCH (r:Run {id: $id})
UNWIND $rows AS row
MERGE (e:Entry {id: row.entry.id})
SET e = row.entry
MERGE (r)-[:LISTS]->(e)
WITH e, row
MATCH (c:Circuit {id: row.circuit})
MERGE (e)-[:GAVE]->(c)
"""

_RUNS = """
MATCH (r:Run)
CALL (r) {
  OPTIONAL MATCH (r)-[:LISTS]->(e:Entry)
  RETURN count(CASE e.outcome WHEN "loaded" THEN 1 END) AS n_loaded,
         count(CASE e.outcome WHEN "present" THEN 1 END) AS n_present,
         count(CASE e.outcome WHEN "refused" THEN 1 END) AS n_refused
}
RETURN r.id AS id, r.settings AS settings, r.started_at AS started_at, r.ended_at AS ended_at,
       COUNT { (r)<-[:FROM_RUN]-() } AS n_circuits, n_loaded, n_present, n_refused
ORDER BY started_at IS NULL, started_at DESC, id
"""

_REFUSALS = """
MATCH (:Run {id: $id})-[:LISTS]->(e:Entry {outcome: "refused"})
RETURN e.name AS name, coalesce(e.reason, "") AS reason ORDER BY name, reason
"""
