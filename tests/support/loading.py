"""What the fault tests share: graph files, the loader as a process, and comparing what was loaded."""

import math
import multiprocessing
import time
from collections.abc import Callable
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from atlas.local.server import Address
from bench import synthetic
from schema.database import Database
from schema.exports import graph_json
from schema.upkeep.canonical_dump import Dump, dump
from schema.upkeep.check import check
from tests.support.cli import atlas_into
from tests.support.servers import environment_of

SMALL = synthetic.Shape(features=60, errors=5, edges=400)

SUMS = ("DRIVES", "DRIVES_IN", "FOUND_IN", "Feature")
"""Kinds of which some properties are running sums: two writers load in another order each time, and the order
decides the last digits."""

_PROCESSES = multiprocessing.get_context("forkserver")
# Forked from one that has done the slow imports, each loader starts in a moment.
_PROCESSES.set_forkserver_preload(["atlas.cli", "ingest.imports.files"])


def write_graphs(folder: Path, count: int, shape: synthetic.Shape = SMALL) -> Path:
    """A folder with graph JSON of `count` synthetic circuits."""
    folder.mkdir(parents=True)
    for number, circuit in enumerate(islice(synthetic.circuits(count, shape), count)):
        graph_json.write(circuit, folder / f"{number:04}.json")
    return folder


class Command:
    """`atlas …` in a process of its own."""

    def __init__(self, words: list[str], address: Address, said: Path, uri: str | None = None) -> None:
        """uri: where the command finds the database, when not at its own address."""
        self._said = said
        environment = environment_of(address) | ({"NEO4J_URI": uri} if uri else {})
        here, there = _PROCESSES.Pipe(duplex=False)
        self._process = _PROCESSES.Process(target=_atlas, args=(said, words, environment, there))
        self._process.start()
        here.recv()

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    def kill(self) -> None:
        """SIGKILL: it gets no chance to tidy up."""
        self._process.kill()
        self._process.join()

    def end(self, timeout_s: float | None = None) -> tuple[int | None, str]:
        """Wait until it ends by itself: its exit status (None: it has not) and what it said."""
        self._process.join(timeout_s)
        return self._process.exitcode, self._said.read_text(encoding="utf-8")


class Loader(Command):
    """`atlas import FOLDER` in a process of its own."""

    def __init__(self, folder: Path, address: Address, said: Path, uri: str | None = None) -> None:
        """uri: where the loader finds the database, when not at its own address."""
        super().__init__(["import", str(folder)], address, said, uri)


def _atlas(said: Path, words: list[str], environment: dict[str, str], begun: Connection) -> None:
    atlas_into(said, words, environment, lambda: begun.send(True))


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 120.0) -> None:
    """Return when it holds; fails when it does not in time."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"in {timeout_s:g} s it did not come to pass that {what}"
        time.sleep(0.02)


def count(database: Database) -> int:
    """Circuits in the database."""
    return int(database.read("MATCH (c:Circuit) RETURN count(c) AS n")[0]["n"])


def assert_sound(database: Database, clean: Dump) -> None:
    """`atlas check` finds nothing, and the content is that of an undisturbed load."""
    findings = [finding.sentence() for finding in check(database)]
    assert not findings, f"{len(findings)} findings of atlas check: {findings[:5]}"
    found = dump(database)
    assert found.keys() == clean.keys(), f"not in both: {found.keys() ^ clean.keys()}"
    for kind, rows in clean.items():
        equal = _close if kind in SUMS else _equal
        assert len(found[kind]) == len(rows), kind
        wrong = [pair for pair in zip(found[kind], rows, strict=True) if not equal(*pair)]
        assert not wrong, f"{len(wrong)} of {len(rows)} {kind} differ, first {wrong[0]}"


def _equal(left: Any, right: Any) -> bool:
    return bool(left == right)


def _close(left: Any, right: Any) -> bool:
    """Equal but for rounding; a standard deviation of zero may come out as the root of a rounding error."""
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-6)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_close, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_close(left[key], right[key]) for key in left)
    return bool(left == right)
