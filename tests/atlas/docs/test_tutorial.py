"""The tutorial: every block runs in order on a real database and answers as the page shows."""

import json
import math
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from atlas.serving.api_server import serving
from atlas.settings import Settings
from tests.support.cli import Cli
from tests.support.paths import HOME
from tests.support.servers import free_port

PAGE = HOME / "docs" / "tutorial.md"
BLOCK = re.compile(r'^```(?P<language>\w+)(?: title="(?P<file>[^"]+)")?\n(?P<text>.*?)^```$', re.M | re.S)
TOLERANCE = 0.02
"""Relative difference between a number shown, which is rounded, and the number that was measured."""


class Block(NamedTuple):
    """One fenced block of the page."""

    language: str
    file: str | None
    """The file that the reader saves the block as."""
    text: str


class Terminal:
    """Runs lines of a shell: `atlas` in this process, everything else in bash."""

    def __init__(self, folder: Path, started: ExitStack) -> None:
        self.folder, self.started, self.cli = folder, started, Cli({})
        self.variables: dict[str, str] = {}
        self.output = ""
        """Standard output of the last command."""

    def run(self, line: str) -> None:
        """Run one line. Fails when its exit code is not 0."""
        assigned = re.fullmatch(r"(\w+)=\$\((.*)\)", line)
        command = assigned[2] if assigned else line
        if command.startswith("atlas "):
            words = [self._filled(word) for word in shlex.split(command)[1:]]
            self.output = self._atlas(words)
        elif exported := re.fullmatch(r"export (\w+)=(.*)", command):
            self.cli.environment[exported[1]] = exported[2].replace("$PWD", str(self.folder))
        elif command == "kill %1":
            self.started.close()
        else:
            done = subprocess.run(
                ["bash", "-c", command], cwd=self.folder, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            self.output = done.stdout
        if assigned:
            self.variables[assigned[1]] = self.output.strip()

    def _filled(self, word: str) -> str:
        return re.sub(r"\$(\w+)", lambda name: self.variables[name[1]], word)

    def _atlas(self, words: list[str]) -> str:
        if words == ["serve", "&"]:
            address = self.started.enter_context(
                serving(Settings.load(self.cli.environment), port=free_port())
            )
            self.cli.environment["ATLAS_API"] = address
            return ""
        if words == ["db", "start"]:
            words += ["--bolt-port", str(free_port()), "--http-port", str(free_port()), "--heap", "512"]
        done = self.cli(*words)
        assert done.exit_code == 0, (words, done.text)
        return done.stdout


def blocks() -> list[Block]:
    text = PAGE.read_text(encoding="utf-8")
    return [Block(found["language"], found["file"], found["text"]) for found in BLOCK.finditer(text)]


def lines(text: str) -> list[str]:
    """The lines of a shell block; a backslash at the end of a line continues it."""
    return text.replace("\\\n", " ").strip().split("\n")


def without_numbers(value: Any) -> str:
    """A key that sorts entries whose numbers are nearly equal in one order."""
    match value:
        case dict():
            return json.dumps({name: without_numbers(each) for name, each in sorted(value.items())})
        case list():
            return json.dumps(sorted(map(without_numbers, value)))
        case float():
            return ""
    return json.dumps(value)


def agrees(shown: Any, answered: Any) -> bool:
    """Whether an answer is what the page shows: all that it shows, numbers as far as they are shown."""
    match shown:
        case dict():
            return all(name in answered and agrees(each, answered[name]) for name, each in shown.items())
        case list():
            ordered = [sorted(each, key=without_numbers) for each in (shown, answered)]
            return len(shown) == len(answered) and all(map(agrees, *ordered))
        case float():
            return math.isclose(shown, answered, rel_tol=TOLERANCE)
    return bool(shown == answered)


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ingest").symlink_to(HOME / "ingest")
    with ExitStack() as started:
        opened = Terminal(tmp_path, started)
        yield opened
    if "ATLAS_HOME" in opened.cli.environment:
        opened.cli("db", "stop")


def test_every_block_runs_and_answers_as_shown(terminal: Terminal) -> None:
    for block in blocks():
        if block.file is not None:
            (terminal.folder / block.file).write_text(block.text, encoding="utf-8")
        elif block.language == "sh":
            for line in lines(block.text):
                terminal.run(line)
        else:
            assert block.language == "json"
            answer = json.loads(terminal.output)
            assert agrees(json.loads(block.text), answer), json.dumps(answer, indent=2)
    assert (terminal.folder / "first.jsonl").read_text(encoding="utf-8").count("\n") == 16
