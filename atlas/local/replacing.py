"""Puts a new database in the place of the present one, so that a kill at any moment leaves one of them whole.

1. build    the new database in `beside`, a home inside the home, which makes moving files fast
2. journal  write `beside/moving.json`: from now on, the new database counts
3. move     the parts of the present database out, and those of the new one in
4. remove   `beside`, with the former database

`finish` does what a killed process left: without a journal it removes the unfinished new database, and with
one it repeats steps 3 and 4. It runs before each start of the server and before each new `beside`.
"""

import json
import os
import shutil
from pathlib import Path

from schema.atomic_file import atomic_write

BESIDE = "beside"
"""Name of the folder in which the new database is built."""
_JOURNAL = "moving.json"
_PARTS = ("transactions", "databases")
"""Folders of `data` that hold a part of the database."""


def replace_database(home: Path) -> None:
    """Steps 2 to 4. The new database is complete, and no server runs in `home`."""
    beside = home / BESIDE
    # Neo4j's importer may write no transaction logs; those of the present database must go all the same.
    new = {part: _place(beside, part).is_dir() for part in _PARTS}
    with atomic_write(beside / _JOURNAL) as written, written.open("w") as file:
        json.dump(new, file)
        file.flush()
        os.fsync(file.fileno())
    finish(home)


def finish(home: Path) -> None:
    """Finish or undo what a killed process began. No server runs in `home`."""
    beside = home / BESIDE
    journal = beside / _JOURNAL
    if journal.is_file():
        for part, is_new in json.loads(journal.read_text()).items():
            new, present, former = _place(beside, part), _place(home, part), beside / f"former-{part}"
            if is_new and not new.is_dir():
                continue  # it was moved already
            if present.is_dir():
                present.rename(former)
            if is_new:
                present.parent.mkdir(parents=True, exist_ok=True)
                new.rename(present)
    if beside.exists():
        shutil.rmtree(beside)


def _place(home: Path, part: str) -> Path:
    return home / "data" / part / "neo4j"
