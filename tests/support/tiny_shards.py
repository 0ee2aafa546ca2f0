"""The ingest of a tiny model on a prompts file with bad lines, and the shards that it writes."""

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from ingest.circuits.run import IngestSettings, ingest
from ingest.circuits.shards import ingest_to
from schema.database import Database
from schema.shards.store import Store
from schema.upkeep.canonical_dump import Dump, dump
from tests.support.engine import Tiny, save
from tests.support.prompts import BAD, write_prompts
from tests.support.servers import empty

N_PROMPTS = 80
N_GOOD = N_PROMPTS - len(BAD)
"""Circuits of `tiny_ingest`."""


@pytest.fixture(scope="session")
def tiny_ingest(tmp_path_factory: pytest.TempPathFactory) -> IngestSettings:
    """`N_PROMPTS` prompts, of which those of `tests.support.prompts.BAD` fail. Do not change the files."""
    return write_tiny_ingest(tmp_path_factory.mktemp("tiny"), N_PROMPTS)


def write_tiny_ingest(folder: Path, n_prompts: int) -> IngestSettings:
    """A tiny model and a prompts file for it, written into a folder."""
    return IngestSettings(write_prompts(folder / "prompts.jsonl", n_prompts), *save(Tiny(context=32), folder))


def cluster_words(settings: IngestSettings, address: str) -> list[str]:
    """The words of `atlas ingest` on the Ray cluster at an address."""
    options = {"--model": settings.model, "--transcoders": settings.transcoders, "--ray": address}
    return ["ingest", str(settings.prompts), *(str(each) for pair in options.items() for each in pair)]


@pytest.fixture(scope="session")
def tiny_shards(tiny_ingest: IngestSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shards that a single process writes. Do not change the folder."""
    folder = tmp_path_factory.mktemp("shards")
    ingest_to(Store(str(folder)), tiny_ingest, console=Console(file=StringIO()))
    return folder


@pytest.fixture(scope="session")
def tiny_content(tiny_ingest: IngestSettings, connection: Database) -> Dump:
    """What an ingest without shards stores. The database is empty afterwards."""
    empty(connection)
    assert ingest(connection, tiny_ingest, console=Console(file=StringIO())).loaded == N_GOOD
    held = dump(connection)
    empty(connection)
    return held


def write_other_tags(settings: IngestSettings, folder: Path) -> IngestSettings:
    """An ingest of a part of the prompts, to which another file gives other tags, families and splits."""
    rows = []
    for number, line in enumerate(settings.prompts.read_text(encoding="utf-8").splitlines(), 1):
        if number in BAD or number % 5 == 0:
            continue
        row = json.loads(line)
        tags = [*row["tags"], f"also {number % 3}"] if number % 2 else ["again"] * (number % 4 == 0)
        rows.append({**row, "tags": tags, "family": ("pi", "phi", None)[number % 3], "split": "train"})
    path = folder / "other-tags.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return replace(settings, prompts=path)
