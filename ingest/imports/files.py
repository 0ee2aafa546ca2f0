"""The import: other tools' files → records → the database, through the same `load_circuit` as our own.

1. find   files at the paths, folders searched through
2. ask    the run's ledger which of them are in the database already: a file goes by its hash
3. per file, in order: read, unpack, parse, check; what fails is named with file, key and reason, and the
   rest goes on
4. load   in threads beside the reading, one circuit a transaction; a circuit is told by its content, so
          another file with the same graph adds what was drawn in it and changes nothing else
5. notes  feature files last, for the features that circuits have

Stopped at any moment, the database holds whole circuits only, and the same command goes on from there.
"""

import gc
import hashlib
import importlib.metadata
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from ingest.circuits.loader import going_on
from ingest.engine.errors import EngineError
from schema.annotations.notes import load_notes, wanted
from schema.circuit.records import Circuit, FeatureNotes, Model, Run
from schema.database import Database
from schema.errors import FileError, InputError
from schema.formats.features import from_file, from_index
from schema.formats.files import Found, Kind, find, is_feature, read
from schema.formats.graph import Given, read_graph
from schema.loading import runs as ledger
from schema.loading.additions import add_drawn
from schema.loading.load import load_circuit
from schema.loading.set_model import says_more, settle_model

WRITERS = 2
"""Threads that load."""
WAITING = 4
"""Circuits that may wait for them; bounds memory."""
BATCH = 200
"""Features of a transaction."""


@dataclass(frozen=True)
class ImportSettings:
    """What to import, and how."""

    paths: tuple[Path, ...]
    given: Given = field(default_factory=Given)
    node_threshold: float = 0.8
    """For `.pt` graphs, which are not pruned."""
    edge_threshold: float = 0.98
    tokenizer: Path | None = None

    def run(self) -> Run:
        settings = {
            "import": [str(path) for path in self.paths],
            "family": self.given.family,
            "tags": list(self.given.tags),
            "model": self.given.model,
            "transcoders": self.given.transcoders,
            "node_threshold": self.node_threshold,
            "edge_threshold": self.edge_threshold,
        }
        return Run(settings, {"circuit-atlas": importlib.metadata.version("circuit-atlas")})


@dataclass
class Summary:
    """What one call did."""

    loaded: int = 0
    present: int = 0
    """Graphs whose circuit was there already."""
    features: int = 0
    """Features that labels or examples were found for."""
    strangers: int = 0
    """Features in files that no circuit has."""
    megabytes: float = 0.0
    seconds: float = 0.0
    problems: list[Exception] = field(default_factory=list)
    """One for each file that gave nothing."""
    notes: dict[str, list[str]] = field(default_factory=dict)
    """File → what of it the atlas has no place for."""

    def as_json(self) -> dict[str, object]:
        """For scripts: counts, notes, and each refused file with the key at fault."""
        return {
            "loaded": self.loaded,
            "present": self.present,
            "features": self.features,
            "features_of_no_circuit": self.strangers,
            "megabytes": round(self.megabytes, 3),
            "seconds": round(self.seconds, 3),
            "refused": [_problem(problem) for problem in self.problems],
            "notes": [{"file": file, "notes": notes} for file, notes in self.notes.items()],
        }

    def sentence(self) -> str:
        failed = f", {len(self.problems)} files refused" if self.problems else ""
        notes = f"; labels or examples for {self.features} features" if self.features else ""
        if self.strangers:
            notes += (
                f"; {self.strangers} feature files left out: no circuit here has their features; "
                "import graphs first"
            )
        rate = self.megabytes / self.seconds if self.seconds else 0.0
        return (
            f"{self.loaded} circuits imported, {self.present} were there already{failed}{notes} "
            f"({self.megabytes:.1f} MB in {self.seconds:.1f} s, {rate:.1f} MB/s)."
        )


def _problem(problem: Exception) -> dict[str, object]:
    step = getattr(problem, "next_step", None)
    if isinstance(problem, FileError):
        return {"file": problem.file, "key": problem.key, "reason": problem.reason, "next_step": step}
    return {"file": None, "key": None, "reason": getattr(problem, "what", str(problem)), "next_step": step}


def import_files(database: Database, settings: ImportSettings, *, console: Console) -> Summary:
    """Import into a migrated database. Raises InputError when a path is wrong, DatabaseError when Neo4j fails
    (what was loaded stays). Single files' trouble is in the summary."""
    started = time.monotonic()
    summary, run = Summary(), settings.run()
    files = find(settings.paths)
    with going_on(lambda: summary.loaded):
        ledger.begin(database, run)
        work = _Work(database, settings, run, summary, set(ledger.done(database, run)))
        with rare_collection(), bar(console, files) as progress, _Loader(work) as loader:
            for found in files:
                try:
                    work.one(found, loader)
                except (InputError, EngineError) as error:
                    work.refuse(found.path, error)
                progress.advance(progress.task_ids[0], found.size)
        work.finish_notes()
        database.settle()
        ledger.end(database, run)
    summary.seconds = time.monotonic() - started
    return summary


@contextmanager
def rare_collection() -> Iterator[None]:
    """Look for garbage in cycles more rarely.

    Records have no cycles, and looking at tens of thousands of new edges again and again takes a quarter of
    the time of reading them.
    """
    before = gc.get_threshold()
    gc.set_threshold(200_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


class _Work:
    """What all files of one call share."""

    def __init__(
        self, database: Database, settings: ImportSettings, run: Run, summary: Summary, done: set[str]
    ) -> None:
        self.database = database
        self.settings = settings
        self.run = run
        self.summary = summary
        self.done = done
        self.lock = threading.Lock()
        self._models: dict[str, Model] = {}
        """Transcoder set → the model that it is of."""
        self._notes: list[FeatureNotes] = []
        self._folders: list[Path] = []

    def one(self, found: Found, loader: "_Loader") -> None:
        """Read one file and hand its circuit over. Raises FileError, EngineError."""
        name = str(found.path)
        if found.kind is Kind.FEATURES:
            self._folders.append(found.path)
            return
        data = read(found.path)
        self.summary.megabytes += len(data) / 1e6
        if found.kind is Kind.JSON and is_feature(data):
            self._notes.append(from_file(found.path, data))
            if len(self._notes) >= BATCH:
                self._flush()
            return
        key = hashlib.sha256(data).hexdigest()
        if key in self.done:
            self.summary.present += 1
            return
        circuit = read_one(found, data, self.settings, self.summary)
        loader.put(self._settled(circuit, loader, name), ledger.Entry(key, name), found.path)

    def _settled(self, circuit: Circuit, loader: "_Loader", name: str) -> Circuit:
        """With the model that the transcoders are of, as the file that says most of it has it."""
        given = self.settings.given.model
        asked = circuit.model.name == given
        id_ = circuit.transcoders.id
        known = self._models.get(id_)
        if known is None or says_more(circuit.model, known, asked=asked):
            loader.drain()
            model = settle_model(self.database, circuit.transcoders, circuit.model, asked=asked)
            self._models[id_] = model
            if given is not None and model.name != given:
                self.summary.notes.setdefault(name, []).append(
                    f"--model is left out: the transcoders {id_} are known to be of {model.id}"
                )
        return with_model(circuit, self._models[id_])

    def refuse(self, path: Path, error: Exception) -> None:
        """Remember that a file gave nothing, in the ledger too."""
        with self.lock:
            self.summary.problems.append(error)
        ledger.refuse(self.database, self.run, [refusal(path, error)])

    def finish_notes(self) -> None:
        """Feature files: labels and examples for features that circuits have."""
        refused: list[ledger.Entry] = []
        finish_notes(self.database, self.settings, self.summary, self._notes, self._folders, refused)
        ledger.refuse(self.database, self.run, refused)

    def _flush(self) -> None:
        flush_notes(self.database, self.settings, self.summary, self._notes)


def finish_notes(
    database: Database,
    settings: ImportSettings,
    summary: Summary,
    notes: list[FeatureNotes],
    folders: list[Path],
    refused: list[ledger.Entry],
) -> None:
    """Load the notes that wait and those of feature files; what is wrong goes to summary and `refused`."""

    def refuse(folder: Path, error: FileError) -> None:
        summary.problems.append(error)
        refused.append(refusal(folder, error))

    flush_notes(database, settings, summary, notes)
    for folder in folders:
        try:
            for note in from_index(folder, wanted(database, settings.given.transcoders)):
                if isinstance(note, FileError):
                    refuse(folder, note)
                    continue
                notes.append(note)
                if len(notes) >= BATCH:
                    flush_notes(database, settings, summary, notes)
        except FileError as error:
            refuse(folder, error)
        flush_notes(database, settings, summary, notes)


def flush_notes(
    database: Database, settings: ImportSettings, summary: Summary, notes: list[FeatureNotes]
) -> None:
    """Load what waits and empty the list."""
    if notes:
        kept = load_notes(database, notes, settings.given.transcoders)
        summary.features += kept
        summary.strangers += len(notes) - kept
        notes.clear()


def refusal(path: Path, error: Exception) -> ledger.Entry:
    """The ledger's entry for a file that gave nothing."""
    reason, name = (str(text).encode(errors="replace").decode() for text in (error, path))
    return ledger.Entry(hashlib.sha256(str(path).encode(errors="surrogateescape")).hexdigest(), name, reason)


class _Loader:
    """Threads that load circuits while the next files are read."""

    def __init__(self, work: _Work) -> None:
        self._work = work
        self._pool = ThreadPoolExecutor(WRITERS, thread_name_prefix="loader")
        self._room = threading.Semaphore(WAITING)
        self._tasks: list[Future[None]] = []
        self._broken = False
        """Whether a thread failed: then those that wait are not tried, each for as long as the first was."""

    def __enter__(self) -> "_Loader":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._pool.shutdown(cancel_futures=error is not None)
        if error is None:
            for task in self._tasks:
                task.result()

    def put(self, circuit: Circuit, entry: ledger.Entry, path: Path) -> None:
        """Hand over a circuit; raises what a thread failed with, so that no more is read in vain."""
        self._room.acquire()
        for task in [task for task in self._tasks if task.done()]:
            self._tasks.remove(task)
            task.result()
        self._tasks.append(self._pool.submit(self._load, circuit, entry, path))

    def drain(self) -> None:
        """Wait until all that was handed over is loaded; raises what a thread failed with."""
        while self._tasks:
            self._tasks.pop().result()

    def _load(self, circuit: Circuit, entry: ledger.Entry, path: Path) -> None:
        work = self._work
        try:
            if self._broken:
                return
            new = load_circuit(work.database, circuit, work.run, entry)
            if not new:
                add_drawn(work.database, circuit)
        except InputError as error:
            work.refuse(path, FileError(str(path), "the graph", error.what, next_step=error.next_step))
            return
        except BaseException:
            self._broken = True
            raise
        finally:
            self._room.release()
        with work.lock:
            work.summary.loaded += new
            work.summary.present += not new


def read_one(found: Found, data: bytes, settings: ImportSettings, summary: Summary) -> Circuit:
    """The circuit of one file of a graph. Raises FileError, EngineError."""
    if found.kind is Kind.PT:
        from ingest.imports.unpruned import read_circuit  # torch, which JSON does without

        return read_circuit(
            found.path,
            settings.given,
            node_threshold=settings.node_threshold,
            edge_threshold=settings.edge_threshold,
            tokenizer=settings.tokenizer,
            data=data,
        )
    name = str(found.path)
    imported = read_graph(data, name, settings.given)
    if imported.notes:
        summary.notes[name] = list(imported.notes)
    return imported.circuit


def with_model(circuit: Circuit, model: Model) -> Circuit:
    """The circuit with the model that its transcoders turned out to be of."""
    if model == circuit.model:
        return circuit
    return replace(circuit, model=model, transcoders=replace(circuit.transcoders, model_id=model.id))


@contextmanager
def bar(console: Console, files: list[Found]) -> Iterator[Progress]:
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=console,
    ) as progress:
        progress.add_task(f"{len(files)} files", total=sum(found.size for found in files))
        yield progress
