"""The import into a running database: `ingest.imports.reader` reads the files, this module loads them.

1. ask      the run's ledger which files are loaded already; a file is recognised by its SHA-256
2. load     in groups, while the next files are read; one transaction for each group. A circuit is recognised
            by its content: another file with the same graph adds its supernodes and labels only
3. notes    feature files come last, for the features that circuits have

The database holds whole circuits whenever the import is stopped, and the same command resumes it.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from ingest.circuits.loader import GroupLoader, resumable
from ingest.imports.feature_files import FeatureFiles
from ingest.imports.reader import Reader, progress_bar, refused_graph
from ingest.imports.settings import ImportSettings, ImportSummary
from schema.annotations.tags import tag_again
from schema.circuit.records import Circuit, FeatureNotes, Model, TranscoderSet
from schema.circuit.tagged import TaggedCircuit
from schema.database import Database
from schema.errors import AtlasError, InputError, QueryMemoryError, RefusedError
from schema.formats.files import find
from schema.loading import runs as ledger
from schema.loading.additions import add_groupings
from schema.loading.leases import Doing, leased
from schema.loading.load import Outcome, Prepared, Unfit
from schema.loading.model_of_set import assign_model
from schema.slow import said_if_slow


def import_files(database: Database, settings: ImportSettings, *, console: Console) -> ImportSummary:
    """Import files into a migrated database.

    The errors of single files are in the summary. Raises InputError when a path is wrong, and DatabaseError
    when Neo4j fails; circuits that were loaded before the failure stay.
    """
    reader = Reader(settings)
    with said_if_slow("Looking for files …", console.print):
        files = find(settings.paths)
    with resumable(lambda: reader.summary.loaded), ExitStack() as open_leases:
        with said_if_slow("Asking the database which files were loaded before …", console.print):
            run = settings.run()
            require = open_leases.enter_context(leased(database, Doing.LOADING, [run.id]))
            ledger.begin(database, run)
            writer = _DatabaseWriter(database, reader, require)
        with progress_bar(console, files, reader.summary) as done:
            with writer.loader:
                reader.read_all(files, writer, done)
            writer.finish()
            reader.summary.end()
    return reader.summary


class _DatabaseWriter:
    """Loads circuits in groups and feature files in batches (`ingest.imports.reader.CircuitWriter`)."""

    def __init__(self, database: Database, reader: Reader, require: Callable[[], None]) -> None:
        """require: raises ConflictError when the lease on the run was lost."""
        self._database = database
        self._reader = reader
        self._run = reader.settings.run()
        self._done = set(ledger.done(database, self._run))
        self._features = FeatureFiles(
            database,
            reader.settings,
            reader.summary,
            refuse=lambda folder, error: reader.refuse(folder, error, self),
        )
        self._folders: list[Path] = []
        self.loader = GroupLoader(database, require=require, loaded=self._count)

    def has(self, key: str) -> bool:
        return key in self._done

    def model_of(self, transcoders: TranscoderSet, model: Model, *, asked: bool) -> Model:
        # No circuit of the set may be loading while its model changes.
        self.loader.drain()
        return assign_model(self._database, transcoders, model, asked=asked)

    def write(self, circuit: Circuit, entry: ledger.Entry) -> None:
        self.loader.put(circuit, self._run, entry)

    def add_note(self, note: FeatureNotes) -> None:
        self._features.add(note)

    def add_folder(self, folder: Path) -> None:
        self._folders.append(folder)

    def refuse(self, entry: ledger.Entry) -> None:
        ledger.refuse(self._database, self._run, [entry])

    def finish(self) -> None:
        """Load the feature files and end the run."""
        self._features.flush()
        for folder in self._folders:
            self._features.add_folder(folder)
        self._database.wait_for_full_text()
        ledger.end(self._database, self._run)

    def _count(self, group: Sequence[tuple[Prepared | Unfit, Outcome]]) -> None:
        """Count the circuits of a group, and add to those that were stored already what their files add."""
        present: list[tuple[ledger.Entry, str, bool]] = []
        for (circuit, entry, *_), outcome in group:
            assert entry is not None
            try:
                if isinstance(outcome, AtlasError):
                    raise outcome
                if outcome:
                    self._reader.count(new=True)
                    continue
                added = add_groupings(self._database, circuit)
                self._reader.count(new=False, added=added, tagged=self._tag_again(circuit))
                present.append((entry, circuit.id, False))
            except (InputError, RefusedError, QueryMemoryError) as error:
                self._reader.refuse(Path(entry.name), refused_graph(entry.name, error), self)
        ledger.give(self._database, self._run, present)

    def _tag_again(self, circuit: Circuit) -> TaggedCircuit | None:
        """Give the prompt of a stored circuit the tags that the user gave. None when nothing was given."""
        given = self._reader.settings.given
        if given.family is None and not given.tags:
            return None
        (tagged,) = tag_again(self._database, {circuit.id: given.tags})
        return tagged
