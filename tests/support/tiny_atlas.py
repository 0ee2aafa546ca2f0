"""Two families of a tiny model in the database, and the command on them."""

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ingest.circuits.run import IngestSettings, ingest
from ingest.engine.replacement.model import ReplacementModel
from schema.circuit.records import Circuit, NodeKind
from schema.database import Database
from schema.loading.read import read_circuit
from tests.support.cli import Cli
from tests.support.engine import Tiny, save

LINES = [
    {"prompt": "w3 w1 w4 w1", "family": "pi"},
    {"prompt": "w2 w7 w1 w8 w2", "family": "e"},
    {"prompt": "w1 w6 w1 w8", "family": "pi"},
]


class TinyAtlas:
    """Two families of a tiny model in the database, and the command."""

    def __init__(self, database: Database, cli: Cli, folder: Path) -> None:
        self.cli = cli
        self.folders = save(Tiny(context=32), folder)
        file = folder / "prompts.jsonl"
        file.write_text("".join(json.dumps(line) + "\n" for line in LINES), encoding="utf-8")
        ingest(database, IngestSettings(file, *self.folders), console=Console(quiet=True))
        self.model = ReplacementModel.load(*self.folders)
        ids = [row["id"] for row in database.read("MATCH (c:Circuit) RETURN c.id AS id ORDER BY id")]
        self.circuits = {key: read_circuit(database, key) for key in ids}
        self.set_id = database.read("MATCH (s:TranscoderSet) RETURN s.id AS id")[0]["id"]

    def run(self, *words: str) -> Any:
        """Run `atlas …`: its stdout, read as JSON with `--json`. Raises the error that it printed."""
        options = ("--model", self.folders.model, "--transcoders", self.folders.transcoders)
        printed = self.cli.printed(*words, *(options if words[0] == "intervene" else ()))
        return json.loads(printed) if "--json" in words else printed

    def family(self, name: str) -> dict[str, Circuit]:
        return {key: each for key, each in self.circuits.items() if each.prompt.family == name}

    def common_feature(self, name: str) -> tuple[int, int]:
        """A feature of the first layer that all circuits of a family kept."""
        kept = [
            {(n.layer, n.index) for n in each.nodes if n.kind is NodeKind.FEATURE}
            for each in self.family(name).values()
        ]
        layer, index = min(set.intersection(*kept))
        assert index is not None
        return layer, index


@pytest.fixture
def tiny_atlas(database: Database, cli: Cli, tmp_path: Path) -> TinyAtlas:
    return TinyAtlas(database, cli, tmp_path)
