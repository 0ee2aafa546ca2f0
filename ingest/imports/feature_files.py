"""Loads the labels and examples of feature files, for the features that circuits have."""

from collections.abc import Callable
from pathlib import Path

from ingest.imports.settings import ImportSettings, ImportSummary
from schema.annotations.notes import features_in_circuits, load_notes
from schema.circuit.records import FeatureNotes
from schema.database import Database
from schema.errors import FileError
from schema.formats.features import from_index

BATCH = 200
"""Features of one transaction."""


class FeatureFiles:
    """Collects what feature files say and loads it in batches."""

    def __init__(
        self,
        database: Database,
        settings: ImportSettings,
        summary: ImportSummary,
        refuse: Callable[[Path, FileError], None],
    ) -> None:
        """refuse: is told about each damaged file and its folder."""
        self._database = database
        self._transcoders = settings.given.transcoders
        self._summary = summary
        self._refuse = refuse
        self._waiting: list[FeatureNotes] = []

    def add(self, note: FeatureNotes) -> None:
        """Load one feature's notes with the next batch. Raises DatabaseError."""
        self._waiting.append(note)
        if len(self._waiting) >= BATCH:
            self.flush()

    def add_folder(self, folder: Path) -> None:
        """Load what an indexed folder says about the features that circuits have. Raises DatabaseError."""
        try:
            for note in from_index(folder, features_in_circuits(self._database, self._transcoders)):
                if isinstance(note, FileError):
                    self._refuse(folder, note)
                else:
                    self.add(note)
        except FileError as error:
            self._refuse(folder, error)
        self.flush()

    def flush(self) -> None:
        """Load what is waiting."""
        if self._waiting:
            kept = load_notes(self._database, self._waiting, self._transcoders)
            self._summary.features += kept
            self._summary.strangers += len(self._waiting) - kept
            self._waiting.clear()
