"""The shards of a store: find them, write them, and see what is there already."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from schema.circuit.records import Circuit, Run
from schema.errors import FileError, InputError
from schema.shards.shard import AGAIN, CircuitSize, Shard, is_shard_name, pack, sizes
from schema.shards.store import Store

SHARD_PROMPTS = 64
"""Prompts whose circuits go into one shard; what is lost, at most, when a run is stopped."""
SHARD_EDGES = 1_000_000
"""Edges after which a shard ends early: about 20 MB."""
FAILURES_LIMIT = 64 << 20
"""Largest size in bytes of the file that names the prompts that failed."""


class FoundShard(NamedTuple):
    """A file that should be a shard."""

    store: Store
    name: str

    @property
    def address(self) -> str:
        """The address of the file, for people."""
        return self.store.of(self.name)

    def read(self) -> Shard:
        """The shard, checked. Raises FileError."""
        try:
            return Shard(self.address, self.store.read(self.name))
        except FileError:
            raise
        except InputError as error:
            raise FileError(self.address, "the file", error.what, next_step=error.next_step) from error


def find_shards(addresses: Iterable[str]) -> list[FoundShard]:
    """The shards at the addresses, each of which is a folder or a file; sorted within a folder.

    Other Parquet files are found too, so that reading refuses them by name. Raises InputError when a folder
    does not exist or holds no Parquet file.
    """
    found: dict[str, FoundShard] = {}
    for address in addresses:
        if address.endswith(".parquet"):
            folder, _, name = address.rpartition("/")
            each = FoundShard(Store(folder or "."), name)
            each.store.size(name)  # raises when there is none
            found[each.address] = each
            continue
        store = Store(address)
        names = [name for name in store.names() if name.endswith(".parquet")]
        if not names:
            raise InputError(
                f"{address} holds no shards", next_step="name the folder that `atlas ingest --to` wrote"
            )
        found |= {store.of(name): FoundShard(store, name) for name in names}
    return list(found.values())


def holds_shards(address: str) -> bool:
    """Whether an address is that of shards, and not of other files or folders."""
    if "://" in address or address.endswith(".parquet"):
        return True
    folder = Path(address)
    return folder.is_dir() and any(is_shard_name(each.name) for each in folder.iterdir())


def stored_sizes(store: Store) -> dict[str, CircuitSize]:
    """Id → size of each circuit that the shards of a store hold. Raises FileError for a damaged shard."""
    there: dict[str, CircuitSize] = {}
    for name in store.names():
        if not is_shard_name(name):
            continue
        if not store.size(name):
            raise FileError(store.of(name), "the shard", "is empty", next_step=AGAIN)
        with store.open(name) as file:
            there |= sizes(store.of(name), file)
    return there


def packed(circuits: Sequence[tuple[int, Circuit]], run: Run) -> list[tuple[str, bytes]]:
    """The name and bytes of each shard of some circuits: of one, or of several when they have many edges.

    circuits: line and circuit, in order; `schema.loading.validate` has accepted each circuit.
    """
    parts: list[list[tuple[int, Circuit]]] = []
    n_edges = 0
    for each in circuits:
        if not parts or n_edges + len(each[1].edges) > SHARD_EDGES:
            parts.append([])
            n_edges = 0
        parts[-1].append(each)
        n_edges += len(each[1].edges)
    return [pack([circuit for _, circuit in part], run, part[0][0]) for part in parts]


def write_failures(store: Store, run: Run, problems: Sequence[Exception]) -> None:
    """Write which prompts of a run failed and why; the file of an earlier call of the run is replaced."""
    name = _failures_of(run)
    if problems or name in store.names():
        rows = [
            {"what": getattr(each, "what", str(each)), "next_step": getattr(each, "next_step", None)}
            for each in problems
        ]
        store.put(name, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())


class _Failure(msgspec.Struct):
    """A line of the file that names the prompts that failed."""

    what: str
    next_step: str | None = None


_FAILURE = msgspec.json.Decoder(_Failure)


def read_failures(found: Iterable[FoundShard], run: Run) -> list[InputError]:
    """Which prompts of a run failed, as the folders of the shards say. Raises FileError."""
    failures: dict[str, InputError] = {}
    name = _failures_of(run)
    for store in {each.store.address: each.store for each in found}.values():
        if name not in store.names():
            continue
        if (size := store.size(name)) > FAILURES_LIMIT:
            raise FileError(
                store.of(name),
                "the file",
                f"takes {size / 1e6:.1f} MB, more than {FAILURES_LIMIT / 1e6:.0f}",
                next_step="take the file out of the folder",
            )
        for number, line in enumerate(store.read(name).splitlines(), start=1):
            try:
                each = _FAILURE.decode(line)
            except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
                raise FileError(
                    store.of(name), f"line {number}", str(error), next_step="take the file out of the folder"
                ) from error
            failures[each.what] = InputError(each.what, next_step=each.next_step)
    return list(failures.values())


def _failures_of(run: Run) -> str:
    return f"failures-{run.id[:8]}.jsonl"
