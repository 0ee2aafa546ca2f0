"""An atlas of one prompt: what needs several says so, the rest works, and nothing is stored by half."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from ingest.circuits.run import IngestSettings, ingest
from ingest.engine.errors import EngineError
from schema.database import Database
from schema.errors import AtlasError, InputError, NotFoundError
from schema.upkeep.canonical_dump import dump
from schema.upkeep.check import check
from tests.support.cli import Cli
from tests.support.engine import Tiny, save

LINE = {"prompt": "w3 w1 w4 w1 w5", "family": "alone", "expected": "w9", "tags": ["n:1"]}
FAMILY = ["--family", "alone"]


@pytest.fixture
def options(database: Database, tmp_path: Path) -> list[str]:
    """--model and --transcoders of the one prompt's circuit, which is loaded with heads."""
    folders = save(Tiny(context=32), tmp_path)
    file = tmp_path / "prompts.jsonl"
    file.write_text(json.dumps(LINE) + "\n", encoding="utf-8")
    ingest(database, IngestSettings(file, *folders, heads=True), console=Console(quiet=True))
    return ["--model", str(folders.model), "--transcoders", str(folders.transcoders)]


def prompts(tmp_path: Path) -> list[str]:
    return ["--corpus", str(tmp_path / "prompts.jsonl")]


@pytest.mark.parametrize(
    "words",
    [
        ["examples", "CORPUS"],
        ["label", "CORPUS"],
        ["supernodes", "CORPUS"],
        ["diagnose", *FAMILY],
        ["ablate", *FAMILY],
        ["intervene", "--keep", *FAMILY, "--ablate", "FEATURE@all"],
    ],
    ids=lambda words: words[0],
)
def test_works(words: list[str], options: list[str], cli: Cli, database: Database, tmp_path: Path) -> None:
    (node,) = database.read(
        "MATCH (n:FeatureNode) RETURN n.layer + '/' + n.index AS name ORDER BY n.influence DESC LIMIT 1"
    )
    given = [word.replace("FEATURE", node["name"]) for word in words if word != "CORPUS"]
    if "CORPUS" in words:
        given += prompts(tmp_path)
    done = cli(*given, *options)
    assert done.exit_code == 0, done.text
    assert "nan" not in done.text.lower().split()
    assert list(check(database)) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["supernodes", "--score", "CORPUS"], "texts"),
        (["study", "run", "modular-cortex", "PROMPTS"], "held out"),
        (["study", "run", "components", "PROMPTS"], "held out"),
    ],
    ids=lambda words: words[0],
)
def test_what_needs_more_says_so(
    words: list[str], said: str, options: list[str], cli: Cli, database: Database, tmp_path: Path
) -> None:
    before = dump(database)
    given = [word for word in words if word not in ("CORPUS", "PROMPTS")]
    given += prompts(tmp_path) if "CORPUS" in words else ["--prompts", str(tmp_path / "prompts.jsonl")]
    done = cli(*given, *options)
    assert isinstance(done.error, InputError), done.text
    assert said in str(done.error)
    assert done.error.next_step
    assert dump(database) == before


def test_nothing_recurs_in_one_circuit(options: list[str], cli: Cli, database: Database) -> None:
    done = cli("modules", "compute")
    assert isinstance(done.error, NotFoundError), done.text
    assert "--min-circuits" in str(done.error.next_step)
    assert database.read("MATCH (p:Partition) RETURN count(p) AS n") == [{"n": 0}]


def test_a_hypothesis_is_not_tested_on_what_formed_it(
    options: list[str], cli: Cli, database: Database, tmp_path: Path
) -> None:
    file = str(tmp_path / "prompts.jsonl")
    words = ["hypothesis", "add", "why?", "--edit", "ablate 0/1", "--prompts", file]
    done = cli(*words, *options)
    assert isinstance(done.error, AtlasError | EngineError), done.text
    assert database.read("MATCH (h:Hypothesis) RETURN count(h) AS n") == [{"n": 0}]
