"""`--device` and `--dtype`: every command that runs a model takes them, and passes them on."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from rich.console import Console
from typer.core import TyperGroup

from atlas.cli import app
from ingest.circuits.run import IngestSettings, ingest
from ingest.engine.errors import SettingError
from schema.database import Database
from tests.support.cli import Cli
from tests.support.engine import Tiny, save

MODEL_IN_THE_DATABASE = {"claim again", "hypothesis test"}
"""Commands whose model a statement of the database names."""
MODEL_IN_FOLDERS = {"checkpoints load"}
"""Commands that take a folder of models."""
NAMES_OF_FILES = {"import", "bulk-import"}
"""Commands that only write the names of a model and of transcoders down."""


def options() -> dict[str, set[str]]:
    """Command, such as `study run` → its options."""
    found = {}

    def visit(command: Any, name: str) -> None:
        if isinstance(command, TyperGroup):
            for each in command.commands:
                visit(command.commands[each], f"{name} {each}")
        else:
            found[name.strip()] = {option for each in command.params for option in each.opts}

    visit(typer.main.get_command(app), "")
    return found


def test_every_command_that_runs_a_model_takes_a_device_and_a_number_format() -> None:
    found = options()
    runs = {name for name, has in found.items() if {"--model", "--transcoders"} <= has} - NAMES_OF_FILES
    runs |= MODEL_IN_THE_DATABASE | MODEL_IN_FOLDERS
    assert {name for name, has in found.items() if {"--device", "--dtype"} <= has} >= runs
    assert runs >= {
        "ingest",
        "attribute",
        "examples",
        "label",
        "supernodes",
        "intervene",
        "diagnose",
        "ablate",
    }


@pytest.fixture
def given(database: Database, tmp_path: Path) -> list[str]:
    """--model and --transcoders of a small atlas whose circuits have heads."""
    folders = save(Tiny(context=32), tmp_path)
    lines = ["w3 w1 w4 w1 w5", "w2 w7 w1 w8"]
    file = tmp_path / "prompts.jsonl"
    file.write_text(
        "".join(json.dumps({"prompt": text, "family": "f"}) + "\n" for text in lines), encoding="utf-8"
    )
    ingest(database, IngestSettings(file, *folders, heads=True), console=Console(quiet=True))
    return ["--model", str(folders.model), "--transcoders", str(folders.transcoders)]


def test_a_16_bit_model_measures_the_same_within_its_precision(
    given: list[str], cli: Cli, database: Database, tmp_path: Path
) -> None:
    def measured(*words: str) -> list[float]:
        """What each command says or stores."""
        texts = ["--corpus", str(tmp_path / "prompts.jsonl")]
        for command in (["ablate", "--anew"], ["diagnose", "--anew", "--draws", "2"], ["examples", *texts]):
            done = cli(*command, *given, *words)
            assert done.exit_code == 0, done.text
        edited = cli.json("intervene", "--prompt", "w3 w1 w4", "--ablate", "0/1@2", *given, *words)
        found = [
            *database.read("MATCH (i:Intervention) RETURN [i.effect] AS n ORDER BY i.prompt, i.edits"),
            *database.read("MATCH (c:ComponentEffects) RETURN c.mlp AS n ORDER BY c.id"),
            *database.read("MATCH (f:Feature) RETURN [f.density] AS n ORDER BY f.id"),
        ]
        said = [each["probability"] for each in edited["next_tokens"][:3]]
        return [*(number or 0.0 for row in found for number in row["n"]), *said]

    exact = measured("--device", "cpu")
    rounded = measured("--device", "cpu", "--dtype", "bfloat16")
    assert len(exact) > 20
    assert rounded != exact
    # 8 bits of a number, after a few layers.
    assert rounded == pytest.approx(exact, rel=0.1, abs=0.1)


def test_a_device_that_this_torch_does_not_have_is_named(given: list[str], cli: Cli, tmp_path: Path) -> None:
    missing = "xpu" if torch.cuda.is_available() else "cuda:1"
    for words in (
        ["examples", "--corpus", str(tmp_path / "prompts.jsonl")],
        ["ablate"],
        ["diagnose"],
        ["intervene", "--prompt", "w3 w1", "--ablate", "0/1@1"],
    ):
        done = cli(*words, *given, "--device", missing)
        assert (done.exit_code, type(done.error)) == (1, SettingError)
        assert f"The device {missing} cannot be used here" in str(done.error)
