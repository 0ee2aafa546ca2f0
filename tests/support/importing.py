"""Runs an import and counts its files."""

import io
from pathlib import Path
from typing import Any

from rich.console import Console

from ingest.imports.files import import_files
from ingest.imports.settings import ImportSettings, ImportSummary
from schema.database import Database
from schema.formats.graph import Given


def run(database: Database, *paths: Path, given: Given = Given(), **more: Any) -> ImportSummary:  # noqa: B008
    return import_files(database, ImportSettings(paths, given, **more), console=Console(file=io.StringIO()))


def counts(summary: ImportSummary) -> tuple[int, int, int]:
    """Numbers of circuits loaded, of circuits that were there already, and of files refused."""
    return summary.loaded, summary.present, len(summary.problems)
