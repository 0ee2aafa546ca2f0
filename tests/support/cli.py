"""The command `atlas`, run in the process of the test."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from atlas.cli import main
from atlas.local.server import Address
from ingest.engine.errors import EngineError
from schema.errors import AtlasError
from tests.support.servers import environment_of

SETTINGS = ("NEO4J_URI", "NEO4J_USERNAME", "NEO4J_PASSWORD", "NEO4J_PASSWORD_FILE", "ATLAS_API", "ATLAS_HOME")
"""Environment variables that `atlas` reads. A test never sees those of whoever runs it."""


class Outcome(NamedTuple):
    """What one call of `atlas` did."""

    exit_code: int
    """0 when all went well."""
    stdout: str
    stderr: str
    error: AtlasError | EngineError | None
    """The error that the command printed; null when it printed none."""

    @property
    def text(self) -> str:
        """What a person reads: stdout, then stderr."""
        return self.stdout + self.stderr


class Cli:
    """Runs `atlas …` with the given environment, 80 columns wide."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = dict(environment)

    def __call__(self, *words: str | Path, **environment: str) -> Outcome:
        """environment: further variables for this call."""
        printed, complaints = _file(), _file()
        code, error = 0, None
        with pytest.MonkeyPatch.context() as patch:
            for name in SETTINGS:
                patch.delenv(name, raising=False)
            for name, value in {"COLUMNS": "80", **self.environment, **environment}.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["atlas", *map(str, words)])
            with redirect_stdout(printed), redirect_stderr(complaints):
                try:
                    main()
                except SystemExit as stop:
                    code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
                    if isinstance(stop.__context__, AtlasError | EngineError):
                        error = stop.__context__
        return Outcome(code, _text(printed), _text(complaints), error)

    def printed(self, *words: str | Path) -> str:
        """The stdout of a call that must succeed. Raises the error that the command printed."""
        done = self(*words)
        if done.error is not None:
            raise done.error
        assert done.exit_code == 0, done.text
        return done.stdout

    def json(self, *words: str | Path) -> Any:
        """The answer of a call with `--json` that must succeed."""
        return json.loads(self.printed(*words, "--json"))


def _file() -> TextIOWrapper:
    """A file in memory that takes text and, through `.buffer`, bytes."""
    return TextIOWrapper(BytesIO(), encoding="utf-8", newline="", write_through=True)


def _text(file: TextIOWrapper) -> str:
    assert isinstance(file.buffer, BytesIO)
    return file.buffer.getvalue().decode()


@pytest.fixture
def cli_without_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """`atlas` in an empty folder, as someone has it who has just installed it."""
    monkeypatch.chdir(tmp_path)
    return Cli({"ATLAS_HOME": str(tmp_path / "home")})


@pytest.fixture
def cli(cli_without_database: Cli, server: Address) -> Cli:
    """`atlas` in an empty folder, on the tests' database as a user's own Neo4j."""
    return Cli(cli_without_database.environment | environment_of(server))


def atlas_into(
    said: Path, words: list[str], environment: dict[str, str], ready: Callable[[], object] | None = None
) -> None:
    """`atlas …` as the main function of a process of its own: what it prints goes to the file `said`.

    ready: called just before the command runs.
    """
    os.environ.update(environment)
    with said.open("w", encoding="utf-8") as out, redirect_stdout(out), redirect_stderr(out):
        sys.argv = ["atlas", *words]
        if ready is not None:
            ready()
        main()
