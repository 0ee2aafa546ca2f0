"""Shards into the database: `atlas load`, with the same content as an ingest without shards.

1. read     each shard, in the order of their names, and check all of it. One that fails is refused by name,
            and the others are loaded. The next shard is read meanwhile
2. skip     ask the database which circuits of the shard it has. Their prompts get the tags that they lack
3. load     the other circuits, in the order of the shard and under the run of the shard

A command that was stopped continues when it is repeated.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Self

from rich import filesize
from rich.console import Console

from ingest.circuits.loader import GroupLoader, resumable
from ingest.progress import progress
from schema.annotations.tags import tag_again
from schema.circuit.records import Circuit, Run
from schema.counted import counted
from schema.database import Database
from schema.errors import AtlasError, FileError
from schema.loading import runs as ledger
from schema.loading.leases import Doing, leased
from schema.loading.load import Outcome, Prepared, Unfit, prepare, present
from schema.loading.model_of_set import assign_model
from schema.shards.folder import FoundShard, find_shards, read_failures
from schema.shards.shard import Shard


@dataclass
class ShardSummary:
    """What one load of shards did."""

    loaded: int = 0
    """Circuits that are new in the database."""
    present: int = 0
    """Circuits that the database had already."""
    tagged: int = 0
    """Circuits of them whose prompts got new tags."""
    other_family: int = 0
    """Circuits of them whose prompts stay in another family than the shard names, or in none."""
    n_bytes: int = 0
    """Size of the shards that were read."""
    problems: list[Exception] = field(default_factory=list)
    """One error for each refused shard."""
    seconds: float = 0.0

    def sentence(self) -> str:
        """The summary for people."""
        said = [
            f"{counted(self.loaded, 'circuit')} loaded",
            counted(self.present, "was there already", "were there already"),
        ]
        if self.problems:
            said.append(f"{counted(len(self.problems), 'shard')} refused")
        if self.tagged:
            said.append(f"new tags for the prompts of {self.tagged} of them")
        if self.other_family:
            said.append(f"the prompts of {self.other_family} of them keep the family that they had")
        rate = self.loaded / self.seconds if self.seconds else 0.0
        size = filesize.decimal(self.n_bytes)
        return f"{', '.join(said)} ({size} in {self.seconds:.1f} s, {rate:.1f} circuits/s)."


def load_shards(database: Database, addresses: Sequence[str], *, console: Console) -> ShardSummary:
    """Load the shards of folders into a migrated database.

    The errors of single shards are in the summary. Raises InputError for a folder that does not exist or
    holds no shard, and DatabaseError when Neo4j fails; circuits that were loaded before the failure stay.
    """
    started, summary = time.monotonic(), ShardSummary()
    found = find_shards(addresses)
    with resumable(lambda: summary.loaded), progress(console) as work:
        steps = work.add("shards", len(found))
        with ShardLoader(database, summary) as loader:
            for shard in _read_ahead(found):
                if isinstance(shard, FileError):
                    summary.problems.append(shard)
                else:
                    loader.load(shard)
                steps.advance()
            loader.drain()
            end_runs(database, loader.runs, found, summary.problems)
        database.wait_for_full_text()
    summary.seconds = time.monotonic() - started
    return summary


def end_runs(
    database: Database, runs: Iterable[Run], found: Sequence[FoundShard], problems: list[Exception]
) -> None:
    """Record that the shards of runs are loaded, and which prompts of these runs gave no circuit.

    problems: gets an error for each file that should say so and is damaged.
    """
    for run in runs:
        try:
            ledger.end_ingest(database, run, read_failures(found, run))
        except FileError as error:
            problems.append(error)


def _read_ahead(found: Sequence[FoundShard]) -> Iterator[Shard | FileError]:
    """Each shard, or why it cannot be read. The next one is read meanwhile."""

    def read(each: FoundShard) -> Shard | FileError:
        try:
            return each.read()
        except FileError as error:
            return error

    with ThreadPoolExecutor(1, thread_name_prefix="shards") as reader:
        following = reader.submit(read, found[0])
        for each in found[1:]:
            shard, following = following.result(), reader.submit(read, each)
            yield shard
        yield following.result()


class ShardLoader:
    """Loads shards, each under its own run. Use it as a context manager: it holds leases on these runs."""

    def __init__(self, database: Database, summary: ShardSummary) -> None:
        self._database = database
        self._summary = summary
        self._leases_held = ExitStack()
        self._loader = GroupLoader(database, require=self._require, loaded=self._count)
        self._addresses: dict[str, str] = {}
        """Circuit that waits → its shard."""
        self._leases: dict[str, Callable[[], None]] = {}
        """Run → what raises when the lease on it was lost."""
        self.runs: list[Run] = []
        """The runs under which circuits were loaded."""
        self._models: set[tuple[str, str]] = set()
        """(transcoder set, model) that were assigned."""

    def __enter__(self) -> Self:
        prepare(self._database)
        self._loader.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        with self._leases_held:
            self._loader.__exit__(*error)

    def load(self, shard: Shard) -> None:
        """Load what the database lacks of a shard. A shard that cannot be decoded goes to the problems."""
        self._summary.n_bytes += shard.n_bytes
        if not self._addresses.keys().isdisjoint(shard.ids):
            self._loader.drain()  # a circuit that an earlier shard gives too is in the database then
        there = present(self._database, shard.ids)
        try:
            if there:
                self._tag([each for each in shard.frames() if each.id in there])
            if len(there) == len(shard.ids):
                return
            circuits = [each for each in shard.circuits() if each.id not in there]
        except FileError as error:
            self._summary.problems.append(error)
            return
        self._lease(shard.run)
        for each in circuits:
            self._assign(each)
            self._addresses[each.id] = shard.address
            self._loader.put(each, shard.run)

    def drain(self) -> None:
        """Wait until everything is loaded."""
        self._loader.drain()

    def _lease(self, run: Run) -> None:
        if run.id not in self._leases:
            self._loader.drain()  # a transaction asks for every lease
            lease = leased(self._database, Doing.LOADING, [run.id])
            self._leases[run.id] = self._leases_held.enter_context(lease)
            self.runs.append(run)
            ledger.begin(self._database, run)

    def _require(self) -> None:
        for require in self._leases.values():
            require()

    def _count(self, group: Sequence[tuple[Prepared | Unfit, Outcome]]) -> None:
        for (circuit, *_), outcome in group:
            address = self._addresses.pop(circuit.id, "a shard")
            if isinstance(outcome, AtlasError):
                refused = FileError(address, "a circuit", outcome.what, next_step=outcome.next_step)
                self._summary.problems.append(refused)
            else:
                self._summary.loaded += outcome
                self._summary.present += not outcome

    def _assign(self, circuit: Circuit) -> None:
        pair = (circuit.transcoders.id, circuit.model.id)
        if pair not in self._models:
            self._loader.drain()  # no circuit of the set may be loading while its model changes
            assign_model(self._database, circuit.transcoders, circuit.model)
            self._models.add(pair)

    def _tag(self, there: Sequence[Circuit]) -> None:
        """Give prompts of stored circuits the tags of their shard."""
        self._summary.present += len(there)
        given = {each.id: each for each in there if each.prompt.tags or each.prompt.family is not None}
        if not given:
            return
        for row in tag_again(self._database, {id_: each.prompt.tags for id_, each in given.items()}):
            self._summary.tagged += row.n_new > 0
            self._summary.other_family += given[row.circuit].prompt.family not in (None, row.family)
