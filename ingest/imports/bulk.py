"""The bulk import into a new database: `ingest.imports.reader` reads the files, this module writes tables.

1. write    the rows of each circuit go to tables; shards come first, in the order of their names
2. import   `atlas.local.admin.import_tables` runs Neo4j's own importer; no server is running
3. finish   over Bolt: the values that tables cannot hold, supernodes and labels from another file of the
            same graph, feature files, and the ledger of the run
"""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ingest.imports.feature_files import FeatureFiles
from ingest.imports.reader import Reader, progress_bar, refused_graph
from ingest.imports.settings import ImportSettings, ImportSummary
from ingest.imports.shards import end_runs
from ingest.progress import Steps, progress
from schema.circuit.records import Circuit, FeatureNotes, Model, Run, TranscoderSet
from schema.database import Database
from schema.errors import FileError, InputError
from schema.formats.files import find
from schema.loading import runs as ledger
from schema.loading.additions import add_groupings
from schema.loading.bulk import BulkWriter
from schema.loading.leases import Doing, leased
from schema.shards.folder import FoundShard, find_shards
from schema.slow import said_if_slow

LEDGER_ROWS = 1000
"""Ledger entries of one transaction."""


def write_tables(
    settings: ImportSettings, folder: Path, *, shards: Sequence[str] = (), console: Console
) -> "BulkImport":
    """Step 1: read all files and write the tables into a folder.

    shards: addresses of shards. The errors of single files are in the summary. Raises InputError when a path
    is wrong.
    """
    bulk = BulkImport(settings, folder)
    with said_if_slow("Looking for files …", console.print):
        files, found = find(settings.paths), find_shards(shards)
    if found:
        with progress(console, erase=True) as work:
            bulk.add_shards(found, work.add("shards", len(found)))
    if files:
        with progress_bar(console, files, bulk.summary, transient=True) as done:
            bulk.reader.read_all(files, bulk, done)
    return bulk


class BulkImport:
    """Writes tables (`ingest.imports.reader.CircuitWriter`) and keeps what has to wait for the database."""

    def __init__(self, settings: ImportSettings, folder: Path) -> None:
        self.reader = Reader(settings)
        self.writer = BulkWriter(folder)
        self._run = settings.run()
        self._given: list[tuple[ledger.Entry, str, bool]] = []
        """Entry, id of its circuit, and whether the circuit was new."""
        self._refused: list[ledger.Entry] = []
        self._repeated: list[Circuit] = []
        """Graphs that came more than once; each file may have supernodes and labels of its own."""
        self._notes: list[FeatureNotes] = []
        self._folders: list[Path] = []
        self._shards: list[FoundShard] = []
        self._runs: dict[str, Run] = {}
        """The runs of shards."""

    @property
    def summary(self) -> ImportSummary:
        """What the import did so far."""
        return self.reader.summary

    def has(self, key: str) -> bool:
        return False

    def model_of(self, transcoders: TranscoderSet, model: Model, *, asked: bool) -> Model:
        return model

    def write(self, circuit: Circuit, entry: ledger.Entry) -> None:
        try:
            new = self.writer.add(circuit, self._run)
        except InputError as error:
            raise refused_graph(entry.name, error) from error
        self._given.append((entry, circuit.id, new))
        tagged, given = None, self.reader.settings.given
        if not new:
            self._repeated.append(circuit)
            if given.family is not None or given.tags:
                tagged = self.writer.tag_again(circuit.id, given.tags)
        self.reader.count(new=new, tagged=tagged)

    def add_shards(self, found: Sequence[FoundShard], steps: Steps) -> None:
        """Write the circuits of shards, each under the run of its shard. Bad shards go to the summary.

        The prompt of a circuit that came before gets the tags that it lacks.
        """
        self._shards += found
        for each in found:
            try:
                shard = each.read()
                self.summary.n_bytes += shard.n_bytes
                self._runs[shard.run.id] = shard.run
                for circuit in shard.circuits():
                    new = self.writer.add(circuit, shard.run)
                    self.reader.count(new=new)
                    if not new:
                        tagged = self.writer.tag_again(circuit.id, circuit.prompt.tags)
                        self.summary.tagged += tagged.n_new > 0
                        self.summary.other_family += circuit.prompt.family not in (None, tagged.family)
            except FileError as error:
                self.summary.problems.append(error)
            steps.advance()

    def add_note(self, note: FeatureNotes) -> None:
        self._notes.append(note)

    def add_folder(self, folder: Path) -> None:
        self._folders.append(folder)

    def refuse(self, entry: ledger.Entry) -> None:
        self._refused.append(entry)

    def finish(self, database: Database) -> None:
        """Step 3, into the imported and migrated database. Raises DatabaseError."""
        with leased(database, Doing.LOADING, [self._run.id]) as require:
            self.writer.amend(database)
            for run in self._runs.values():
                ledger.begin(database, run)
            end_runs(database, self._runs.values(), self._shards, self.summary.problems)
            if not self.reader.settings.paths:  # shards have runs of their own
                database.wait_for_full_text()
                return
            ledger.begin(database, self._run)
            for circuit in self._repeated:
                self.summary.add(add_groupings(database, circuit))
            features = FeatureFiles(
                database,
                self.reader.settings,
                self.summary,
                refuse=lambda folder, error: self.reader.refuse(folder, error, self),
            )
            for note in self._notes:
                features.add(note)
            features.flush()
            for folder in self._folders:
                features.add_folder(folder)
            for start in range(0, len(self._given), LEDGER_ROWS):
                require()
                ledger.give(database, self._run, self._given[start : start + LEDGER_ROWS])
            ledger.refuse(database, self._run, self._refused)
            database.wait_for_full_text()
            ledger.end(database, self._run)
