"""The bulk import: other tools' files → records → tables for Neo4j's own importer, for a new database.

1. write    every file is read and checked as in the ordinary import; its circuit's rows go to the tables
2. import   `atlas.local.admin.import_tables`, no server running
3. finish   over Bolt: migrations, what tables cannot hold, groups and labels drawn in another file of the
            same graph, feature files, the run's ledger
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from ingest.engine.errors import EngineError
from ingest.imports.files import (
    ImportSettings,
    Summary,
    bar,
    finish_notes,
    rare_collection,
    read_one,
    refusal,
    with_model,
)
from schema.circuit.records import Circuit, FeatureNotes, Model
from schema.database import Database
from schema.errors import FileError, InputError
from schema.formats.features import from_file
from schema.formats.files import Kind, find, is_feature, read
from schema.loading import runs as ledger
from schema.loading.additions import add_drawn
from schema.loading.bulk import BulkWriter
from schema.loading.set_model import says_more

LEDGER_ROWS = 1000
"""Entries of a transaction."""


@dataclass
class Tables:
    """What step 1 leaves for the others."""

    settings: ImportSettings
    writer: BulkWriter
    summary: Summary = field(default_factory=Summary)
    given: list[tuple[ledger.Entry, str, bool]] = field(default_factory=list)
    """Entry, circuit and whether it was new."""
    refused: list[ledger.Entry] = field(default_factory=list)
    again: list[Circuit] = field(default_factory=list)
    """Graphs that came more than once: somebody may have drawn in the others."""
    notes: list[FeatureNotes] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    """Of feature files."""
    models: dict[str, Model] = field(default_factory=dict)
    """Transcoder set → the model that it is of, as far as the files say."""


def write_tables(settings: ImportSettings, folder: Path, *, console: Console) -> Tables:
    """Read all files and write the tables. Raises InputError when a path is wrong; single files' trouble is
    in the summary."""
    files = find(settings.paths)
    tables = Tables(settings, BulkWriter(folder))
    summary = tables.summary
    with rare_collection(), bar(console, files) as progress:
        for found in files:
            name = str(found.path)
            try:
                if found.kind is Kind.FEATURES:
                    tables.folders.append(found.path)
                    continue
                data = read(found.path)
                summary.megabytes += len(data) / 1e6
                if found.kind is Kind.JSON and is_feature(data):
                    tables.notes.append(from_file(found.path, data))
                    continue
                circuit = _settled(tables, read_one(found, data, settings, summary))
                new = _add(tables, circuit, name)
            except (InputError, EngineError) as error:
                summary.problems.append(error)
                tables.refused.append(refusal(found.path, error))
                continue
            finally:
                progress.advance(progress.task_ids[0], found.size)
            entry = ledger.Entry(hashlib.sha256(data).hexdigest(), name)
            tables.given.append((entry, circuit.id, new))
            summary.loaded += new
            summary.present += not new
            if not new:
                tables.again.append(circuit)
    return tables


def finish(database: Database, tables: Tables) -> None:
    """Step 3, into the migrated database."""
    run = tables.settings.run()
    tables.writer.amend(database)
    ledger.begin(database, run)
    for circuit in tables.again:
        add_drawn(database, circuit)
    finish_notes(database, tables.settings, tables.summary, tables.notes, tables.folders, tables.refused)
    for start in range(0, len(tables.given), LEDGER_ROWS):
        ledger.give(database, run, tables.given[start : start + LEDGER_ROWS])
    ledger.refuse(database, run, tables.refused)
    database.settle()
    ledger.end(database, run)


def _add(tables: Tables, circuit: Circuit, name: str) -> bool:
    try:
        return tables.writer.add(circuit, tables.settings.run())
    except InputError as error:
        raise FileError(name, "the graph", error.what, next_step=error.next_step) from error


def _settled(tables: Tables, circuit: Circuit) -> Circuit:
    """With the model that the transcoders are of, as the file that says most of it so far has it."""
    model = tables.models.setdefault(circuit.transcoders.id, circuit.model)
    if says_more(circuit.model, model, asked=circuit.model.name == tables.settings.given.model):
        model = tables.models[circuit.transcoders.id] = circuit.model
    return with_model(circuit, model)
