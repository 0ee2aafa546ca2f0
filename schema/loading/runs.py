"""The ledger of runs: the arguments of each `atlas ingest` or `atlas import`, and the outcome of each input.

An import has an entry for each input. An ingest has entries only for the prompts that gave no circuit the
last time: the ids of the others say whether they are loaded. The entry of a loaded input is written in the
transaction that loads its circuit (`schema.loading.load`), so the ledger always agrees with the circuits. The
entry of an input whose circuit was stored already is written when everything that the input adds is stored.
Repeating a command resumes its run where it stopped.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from schema.circuit.records import Run, stable_id
from schema.database import Database
from schema.errors import AtlasError
from schema.loading.fragments import merge_run, write_entry
from schema.loading.properties import Properties
from schema.loading.rows import run_row


@dataclass(frozen=True, slots=True)
class Entry:
    """One input of a run."""

    key: str
    """Identifies the input when the command is repeated, such as a hash of the file."""
    name: str
    """Name for people: the path of the file, or the line."""
    reason: str | None = None
    """Why the input was refused; None when it was not refused."""

    def row(self, run_id: str, outcome: str) -> Properties:
        """The properties of the entry's node. outcome: `loaded`, `present` or `refused`."""
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
    """Arguments of the command, as JSON."""
    started_at: datetime | None
    """When the run first began; None when an older version of the atlas wrote the run."""
    ended_at: datetime | None
    """When the run last ended; None when it was stopped or is not finished."""
    n_circuits: int
    """Number of circuits that the run loaded and that are still stored."""
    n_loaded: int
    """Number of inputs whose circuit was loaded."""
    n_present: int
    """Number of inputs whose circuit was stored already."""
    n_refused: int
    """Number of inputs that gave no circuit."""


def begin(database: Database, run: Run) -> None:
    """Record that a run begins or is resumed."""
    database.write(_BEGIN, {"run": run_row(run)})


def end(database: Database, run: Run) -> None:
    """Record that a run reached its end."""
    database.write("MATCH (r:Run {id: $id}) SET r.ended_at = datetime()", {"id": run.id})


def done(database: Database, run: Run) -> dict[str, str]:
    """Key of each input that needs no further work → the id of its circuit."""
    rows = database.read(_DONE, {"id": run.id})
    return {row["key"]: row["circuit"] for row in rows}


def refuse(database: Database, run: Run, entries: Iterable[Entry]) -> None:
    """Record inputs that gave no circuit, each with its reason."""
    rows = [entry.row(run.id, "refused") for entry in entries]
    database.write(_REFUSE, {"run": run_row(run), "entries": rows})


def end_ingest(database: Database, run: Run, problems: Iterable[Exception]) -> None:
    """Record that an ingest reached its end, and which prompts gave no circuit this time.

    problems: one for each such prompt. The text of each begins with the place of the prompt and a colon.
    """
    rows = []
    for problem in problems:
        what = problem.what if isinstance(problem, AtlasError) else str(problem)
        rows.append(Entry(what, what.partition(":")[0], str(problem)).row(run.id, "refused"))
    database.write(_FORGET, {"id": run.id, "refused": [row["id"] for row in rows]})
    if rows:
        database.write(_REFUSE, {"run": run_row(run), "entries": rows})
    end(database, run)


def give(database: Database, run: Run, entries: Iterable[tuple[Entry, str, bool]]) -> None:
    """Record inputs whose circuits are stored. entries: (entry, id of the circuit, whether it was new)."""
    of_run = run_row(run)
    rows = [given(entry, of_run, circuit, new=new) for entry, circuit, new in entries]
    if rows:
        database.write(GIVE, {"p": {"rows": rows}})


def given(entry: Entry, run: Properties, circuit: str, *, new: bool) -> Properties:
    """A row of `GIVE`. circuit: id. new: whether the input gave a circuit that was not stored yet."""
    return {"run": run, "entry": entry.row(run["id"], "loaded" if new else "present"), "circuit": circuit}


def runs(database: Database) -> list[RunSummary]:
    """All runs, the newest first. Runs without a date come last."""
    return [RunSummary(**_native(row)) for row in database.read(_RUNS)]


def refusals(database: Database, run_id: str) -> list[tuple[str, str]]:
    """(name, reason) of each input that a run refused, sorted by name."""
    rows = database.read(_REFUSALS, {"id": run_id})
    return [(row["name"], row["reason"]) for row in rows]


def _native(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value.to_native() if hasattr(value, "to_native") else value for key, value in row.items()}


_BEGIN = f"""
{merge_run("$run")}
SET r.started_at = coalesce(r.started_at, datetime())
REMOVE r.ended_at
"""

_DONE = """
MATCH (:Run {id: $id})-[:LISTS]->(e:Entry)-[:GAVE]->(c:Circuit)
RETURN e.key AS key, c.id AS circuit
"""

_REFUSE = f"""
{merge_run("$run")}
WITH r
UNWIND $entries AS row
{write_entry("row")}
"""

_FORGET = """
MATCH (:Run {id: $id})-[:LISTS]->(e:Entry {outcome: "refused"})
WHERE NOT e.id IN $refused
DETACH DELETE e
"""

GIVE = f"""
UNWIND $p.rows AS row
{merge_run("row.run")}
MERGE (e:Entry {{id: row.entry.id}})
// When the answer to a commit was lost, the load runs again and finds its own circuit: it stays `loaded`.
WITH r, e, row, coalesce(e.outcome = "loaded", false) AS ours
SET e = row.entry
SET e.outcome = CASE WHEN ours THEN "loaded" ELSE row.entry.outcome END
MERGE (r)-[:LISTS]->(e)
WITH e, row
MATCH (c:Circuit {{id: row.circuit}})
MERGE (e)-[:GAVE]->(c)
"""
"""Records the inputs $p.rows, whose circuits are stored."""

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
