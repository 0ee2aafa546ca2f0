"""Loads labels and examples of many features from files, for the features that circuits have.

1. sets     a row names its set as the file does: Neuronpedia's model and source set, a name on the hub, or
            the id of a set. The user can name it instead
2. filter   a feature is stored because a circuit has it, so rows about other features are counted and left
            out. The same command adds them after circuits with these features were imported
3. write    labels in batches, by threads, while the next rows are read; examples at the end of a file,
            because a file of Neuronpedia has those of one feature in any order

The database holds whole batches whenever the command is stopped. Labels that are there already are left as
they are, so repeating the command goes on.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from ingest.imports.reader import rare_collection
from ingest.progress import progress
from schema.annotations.labels import Written, features_of, labelled_sets, labels_of, write_imported
from schema.annotations.notes import load_notes
from schema.circuit.records import FeatureNotes, Label
from schema.counted import counted
from schema.database import Database
from schema.errors import FileError, InputError
from schema.formats.labels import (
    LabelFile,
    LabelInFile,
    TableColumns,
    find_labels,
    read_labels,
    strongest,
)

BATCH = 10_000
"""Labels that are written while the next ones are read."""
WRITERS = 2
"""Transactions that write a batch side by side, because Neo4j runs one query on one core."""
NOTES = 200
"""Features with examples of one transaction."""
TOKENS = 4_000_000
"""Tokens of examples that wait for the end of their file; bounds memory."""
PROBLEMS = 100
"""Errors that are kept with their place; the others are counted."""


@dataclass(frozen=True)
class LabelSettings:
    """What to read, and how."""

    paths: tuple[Path, ...]
    """Files, and folders that are searched for files."""
    transcoders: str | None = None
    """Name or id of the set that all rows are about. None: the set that each row names."""
    columns: TableColumns = field(default_factory=lambda: TableColumns({}))


@dataclass
class LabelImport:
    """What one import of labels did."""

    labels: int = 0
    """Labels that are new in the database."""
    present: int = 0
    """Labels that the database had already."""
    examples: int = 0
    """Features that got examples, promoted tokens or a density."""
    strangers: int = 0
    """Rows about features that no circuit has."""
    empty: int = 0
    """Rows with an empty text."""
    elsewhere: Counter[str] = field(default_factory=Counter)
    """Set that no circuit was made with → rows about its features."""
    refused: int = 0
    """Rows and files that could not be read."""
    problems: list[FileError] = field(default_factory=list)
    """The first of their errors."""
    files: int = 0
    seconds: float = 0.0

    def as_json(self) -> dict[str, object]:
        """The summary for scripts."""
        return {
            "labels": self.labels,
            "present": self.present,
            "features_with_examples": self.examples,
            "rows_of_no_circuit": self.strangers,
            "rows_without_text": self.empty,
            "rows_of_unknown_sets": dict(sorted(self.elsewhere.items())),
            "files": self.files,
            "seconds": round(self.seconds, 3),
            "n_refused": self.refused,
            "refused": [
                {"file": each.file, "key": each.key, "reason": each.reason, "next_step": each.next_step}
                for each in self.problems
            ],
        }

    def sentence(self) -> str:
        """The summary for people, in one sentence."""
        parts = [
            f"{counted(self.labels, 'new label')}, {self.present} there already"
            + (f", examples or facts of {counted(self.examples, 'feature')}" if self.examples else "")
        ]
        if self.strangers:
            parts.append(f"{counted(self.strangers, 'row')} left out, whose features no circuit here has")
        if self.empty:
            parts.append(f"{counted(self.empty, 'row')} without a text")
        if self.refused:
            parts.append(f"{counted(self.refused, 'row or file', 'rows or files')} refused")
        return f"{'; '.join(parts)} ({counted(self.files, 'file')} in {self.seconds:.1f} s)."


def import_labels(database: Database, settings: LabelSettings, *, console: Console) -> LabelImport:
    """Import labels and examples into a migrated database.

    The errors of rows and files are in the summary. Raises InputError when a path or the name of a set is
    wrong, and DatabaseError when Neo4j fails; what was written before stays.
    """
    started = time.monotonic()
    files = find_labels(settings.paths)
    with (
        ThreadPoolExecutor(WRITERS) as writers,
        rare_collection(),
        progress(console) as shown,
    ):
        work = _LabelImport(database, settings, writers)
        size = shown.add("labels", sum(each.size for each in files), in_bytes=True)
        done = 0
        for each in files:
            work.read(each, lambda n, done=done: size.reach(done + n))  # type: ignore[misc]
            done += each.size
            size.reach(done)
        work.flush()
    database.wait_for_full_text()
    work.summary.seconds = time.monotonic() - started
    return work.summary


_Place = tuple[str, str | None]
"""Id of a set, and the component of its features."""
_Key = tuple[str, int, int]
"""Id of a set, layer and index of a feature of an MLP."""


class _LabelImport:
    """Collects rows and writes them."""

    def __init__(self, database: Database, settings: LabelSettings, writers: ThreadPoolExecutor) -> None:
        self.summary = LabelImport()
        self._database = database
        self._writers = writers
        self._writing: list[Future[Written]] = []
        self._columns = settings.columns
        self._places: dict[str, list[_Place]] = {}
        sets = labelled_sets(database)
        for each in sets:
            for name, component in each.names.items():
                self._places.setdefault(name, []).append((each.id, component))
        known = ", ".join(each.id for each in sets[:8]) or "none: import circuits first"
        if settings.transcoders is not None and settings.transcoders not in self._places:
            raise InputError(
                f"The database has no transcoder set {settings.transcoders!r}",
                next_step=f"name one of its sets: {known}",
            )
        self._given = settings.transcoders
        self._only = sets[0].id if len(sets) == 1 else None
        self._sets = known
        self._features: dict[str, set[tuple[int, int, str | None]]] = {}
        self._labels: dict[str, list[Label]] = {}
        """Set → labels that wait for their batch."""
        self._known: dict[str, dict[str, bool]] = {}
        """Set → its labels in the database, as `labels_of` gives them."""
        self._notes: dict[_Key, FeatureNotes] = {}
        self._tokens = 0
        self._described: set[_Key] = set()
        """The features that got examples or facts."""

    def read(self, file: LabelFile, advance: Callable[[int], object]) -> None:
        """Read a file and write what it says. Raises DatabaseError."""
        self.summary.files += 1
        try:
            for found in read_labels(file.path, self._columns, advance):
                if isinstance(found, FileError):
                    self._refuse(found)
                elif found is None:
                    self.summary.empty += 1
                else:
                    self._take(found, file)
        except FileError as error:
            self._refuse(error)
        self._flush_notes()

    def flush(self) -> None:
        """Write what is waiting."""
        for transcoders in list(self._labels):
            self._write(transcoders)
        self._wait()
        self._flush_notes()

    def _refuse(self, error: FileError) -> None:
        self.summary.refused += 1
        if len(self.summary.problems) < PROBLEMS:
            self.summary.problems.append(error)

    def _take(self, found: LabelInFile | FeatureNotes, file: LabelFile) -> None:
        name = self._given or found.transcoders or self._only
        if name is None:
            raise FileError(
                str(file.path),
                "the file",
                "does not say which transcoders its features belong to",
                next_step=f"name their set with --transcoders: {self._sets}",
            )
        places = self._places.get(name)
        if places is None:
            self.summary.elsewhere[name] += 1
            return
        wanted = False
        for transcoders, component in places:
            features = self._features.get(transcoders)
            if features is None:
                features = self._features[transcoders] = features_of(self._database, transcoders)
            if (found.layer, found.index, component) not in features:
                continue
            wanted = True
            if isinstance(found, LabelInFile):
                self._label(transcoders, component, found)
            elif component is None:
                self._note(transcoders, found)
        self.summary.strangers += not wanted

    def _label(self, transcoders: str, component: str | None, found: LabelInFile) -> None:
        waiting = self._labels.setdefault(transcoders, [])
        waiting.append(
            Label(
                found.layer,
                found.index,
                found.text,
                found.method,
                found.author,
                found.score,
                component=component,
                scorer=found.scorer,
            )
        )
        if len(waiting) >= BATCH:
            self._write(transcoders)

    def _write(self, transcoders: str) -> None:
        labels = self._labels.pop(transcoders)
        self._wait()
        if transcoders not in self._known:
            self._known[transcoders] = labels_of(self._database, transcoders)
        # The labels of one feature go to one writer, so that no writer waits for another.
        self._writing = [
            self._writers.submit(
                write_imported,
                self._database,
                transcoders,
                [each for each in labels if each.index % WRITERS == writer],
                self._known[transcoders],
            )
            for writer in range(WRITERS)
        ]

    def _wait(self) -> None:
        """Count what the writers wrote. Raises DatabaseError when one of them failed."""
        for each in self._writing:
            written = each.result()
            self.summary.labels += written.new
            self.summary.present += written.present
        self._writing.clear()

    def _note(self, transcoders: str, found: FeatureNotes) -> None:
        key = (transcoders, found.layer, found.index)
        before = self._notes.get(key)
        examples = (*(() if before is None else before.examples), *found.examples)
        self._notes[key] = FeatureNotes(
            found.layer,
            found.index,
            None,
            strongest(examples),
            found.promotes or (() if before is None else before.promotes),
            found.suppresses or (() if before is None else before.suppresses),
            transcoders,
            found.density if before is None or found.density is not None else before.density,
        )
        self._tokens += sum(len(each.tokens) for each in found.examples)
        if self._tokens > TOKENS:
            self._flush_notes()

    def _flush_notes(self) -> None:
        notes: Sequence[FeatureNotes] = list(self._notes.values())
        batches = [notes[start : start + NOTES] for start in range(0, len(notes), NOTES)]
        # The batches are about different features, so no writer waits for another.
        for _ in self._writers.map(lambda batch: load_notes(self._database, batch, None), batches):
            pass
        self._described |= self._notes.keys()
        self.summary.examples = len(self._described)
        self._notes.clear()
        self._tokens = 0
