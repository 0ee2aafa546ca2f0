"""Reads other tools' files and hands their circuits to a writer: the part that both imports share.

1. find     the files at the paths; folders are searched
2. per file, in order: read, unpack, parse and check. A file that fails is refused: its error names file, key
            and reason, and the import continues with the next file
3. model    a later file may name the model that the transcoders of earlier files belong to
4. write    `ingest.imports.files` loads the circuits into a running database, `ingest.imports.bulk` writes
            tables for Neo4j's own importer
"""

import gc
import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from rich.console import Console

from ingest.engine.errors import EngineError
from ingest.extra import missing_extra
from ingest.imports.settings import ImportSettings, ImportSummary
from ingest.progress import progress
from schema.circuit.records import Circuit, FeatureNotes, Model, TranscoderSet
from schema.circuit.tagged import TaggedCircuit
from schema.counted import counted
from schema.errors import AtlasError, FileError, InputError
from schema.formats.features import from_file
from schema.formats.files import FileKind, FoundFile, is_feature, parts, read
from schema.formats.graph import UNNAMED, is_unnamed, read_graph
from schema.loading.additions import NOTHING_ADDED, AddedParts
from schema.loading.model_of_set import says_more
from schema.loading.runs import Entry


class CircuitWriter(Protocol):
    """What becomes of the files that were read."""

    def has(self, key: str) -> bool:
        """Whether a file with this SHA-256 needs no reading, because this run has loaded its circuit."""
        ...

    def model_of(self, transcoders: TranscoderSet, model: Model, *, asked: bool) -> Model:
        """The model that the transcoders belong to, when a file names `model`; asked: the user named it."""
        ...

    def write(self, circuit: Circuit, entry: Entry) -> None:
        """Take one circuit; call `Reader.count` or `Reader.refuse` for it, now or later in a thread."""
        ...

    def add_note(self, note: FeatureNotes) -> None:
        """Take the labels and examples of one feature file."""
        ...

    def add_folder(self, folder: Path) -> None:
        """Take a folder of feature files that has an index."""
        ...

    def refuse(self, entry: Entry) -> None:
        """Record a refused file."""
        ...


class Reader:
    """Reads the files of one import and counts what became of them."""

    def __init__(self, settings: ImportSettings) -> None:
        self.settings = settings
        self.summary = ImportSummary()
        self._lock = threading.Lock()
        """Guards the counts, which loading threads change too."""
        self._models: dict[str, Model] = {}
        """Transcoder set → the model that it belongs to, as far as the files say."""
        self._by_id: dict[str, Model] = {}
        """Model → its description."""

    def read_all(
        self, files: Sequence[FoundFile], writer: CircuitWriter, done: Callable[[FoundFile], None]
    ) -> None:
        """Read all files in order, and call `done` after each.

        Errors of single files go to the summary; those of the writer are raised.
        """
        with rare_collection():
            for found in files:
                try:
                    self._read(found, writer)
                except (InputError, EngineError) as error:
                    self.refuse(found.path, error, writer)
                done(found)

    def count(
        self, *, new: bool, added: AddedParts = NOTHING_ADDED, tagged: TaggedCircuit | None = None
    ) -> None:
        """Count a circuit that was written, or that was there already, with what was added to it."""
        with self._lock:
            self.summary.loaded += new
            self.summary.present += not new
            self.summary.add(added)
            if tagged is not None:
                self.summary.tagged += tagged.n_new > 0
                self.summary.other_family += self.settings.given.family not in (None, tagged.family)

    def refuse(self, path: Path, error: Exception, writer: CircuitWriter) -> None:
        """Record that a file was refused, in the summary and in the ledger."""
        with self._lock:
            self.summary.problems.append(error)
        writer.refuse(refusal(path, error))

    def _read(self, found: FoundFile, writer: CircuitWriter) -> None:
        """Read one file and hand its content over. Raises FileError, EngineError."""
        if found.kind is FileKind.FEATURES:
            writer.add_folder(found.path)
            return
        data = read(found.path)
        self.summary.n_bytes += len(data)
        if found.kind is FileKind.JSON and is_feature(data):
            writer.add_note(from_file(found.path, data))
            return
        name = str(found.path)
        for part, content in parts(data, name) if found.kind is FileKind.JSON else [(name, data)]:
            try:
                self._read_graph(found, part, content, writer)
            except (InputError, EngineError) as error:
                if part == name:
                    raise
                self.refuse(Path(part), error, writer)  # the other graphs of the list go on

    def _read_graph(self, found: FoundFile, name: str, data: bytes, writer: CircuitWriter) -> None:
        key = hashlib.sha256(data).hexdigest()
        if writer.has(key):
            self.count(new=False)
            return
        circuit = self._with_model(self._circuit(found, name, data), name, writer)
        writer.write(circuit, Entry(key, name))

    def _circuit(self, found: FoundFile, name: str, data: bytes) -> Circuit:
        settings = self.settings
        if found.kind is FileKind.PT:
            try:
                from ingest.imports.unpruned import read_circuit  # needs torch, which JSON files do not
            except ModuleNotFoundError as error:
                if (missing := missing_extra(error)) is None:
                    raise
                raise FileError(
                    name, "the format", "a .pt file needs the extra `ingest`", next_step=missing.next_step
                ) from error

            circuit = read_circuit(
                found.path,
                settings.given,
                node_threshold=settings.node_threshold,
                edge_threshold=settings.edge_threshold,
                tokenizer=settings.tokenizer,
                data=data,
            )
            if is_unnamed(circuit.transcoders):
                self.summary.notes[name] = [UNNAMED]
            return circuit
        imported = read_graph(data, name, settings.given)
        if imported.notes:
            self.summary.notes[name] = list(imported.notes)
        return imported.circuit

    def _with_model(self, circuit: Circuit, name: str, writer: CircuitWriter) -> Circuit:
        """The circuit with the model of its transcoders, as the file that says most about it names it."""
        given, id_ = self.settings.given.model, circuit.transcoders.id
        asked = circuit.model.name == given
        known = self._models.get(id_)
        if known is None or says_more(circuit.model, known, asked=asked):
            model = writer.model_of(circuit.transcoders, circuit.model, asked=asked)
            # Files can disagree about one model, such as on its layers. What was said first counts.
            model = self._models[id_] = self._by_id.setdefault(model.id, model)
            if given is not None and model.name != given:
                self.summary.notes.setdefault(name, []).append(
                    f"--model is ignored: the transcoders {id_} are known to belong to {model.id}"
                )
        model = self._models[id_]
        if model == circuit.model:
            return circuit
        return replace(circuit, model=model, transcoders=replace(circuit.transcoders, model_id=model.id))


def refusal(path: Path, error: Exception) -> Entry:
    """The ledger's entry for a refused file."""
    reason, name = (str(text).encode(errors="replace").decode() for text in (error, path))
    return Entry(hashlib.sha256(str(path).encode(errors="surrogateescape")).hexdigest(), name, reason)


def refused_graph(name: str, error: AtlasError) -> FileError:
    """The error of a file whose graph was read but cannot be stored."""
    return FileError(name, "the graph", error.what, next_step=error.next_step)


@contextmanager
def rare_collection() -> Iterator[None]:
    """Run Python's garbage collector less often.

    Records have no cycles. Searching tens of thousands of new edges for cycles again and again would take a
    quarter of the time that reading them takes.
    """
    before = gc.get_threshold()
    gc.set_threshold(200_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def progress_bar(
    console: Console, files: Sequence[FoundFile], summary: ImportSummary, *, transient: bool = False
) -> Iterator[Callable[[FoundFile], None]]:
    """A bar of the files with the pace of the summary. Gives a function to call after each file.

    The bar stays until the block ends, so what it shows at last is what the summary says. transient: erase it
    at the end, because the import goes on.
    """
    if not console.is_terminal:
        console.print(f"{counted(len(files), 'file')} to import")
    with progress(console, erase=transient) as work:
        n_read = 0
        # The bar is measured in bytes on the disk, because nothing else is known before the files are read.
        size = work.add(_of(0, files), sum(found.size for found in files), pace=summary.pace)

        def done(found: FoundFile) -> None:
            nonlocal n_read
            n_read += 1
            size.what = _of(n_read, files)
            size.advance(found.size)

        yield done


def _of(n_read: int, files: Sequence[FoundFile]) -> str:
    return f"{n_read} of {counted(len(files), 'file')}"
