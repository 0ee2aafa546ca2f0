"""A shard as bytes: a Parquet file of whole circuits of one run, whose name holds the hash of its bytes.

1. write   the circuits as columns, the run and the version of the format in the file's own metadata
2. name    `circuits-RUN-LINE-HASH.parquet`: the first digits of the run's id, the line of the first prompt,
           and the SHA-256 of the bytes. Names sort in the order of the prompts; equal shards have equal names
3. check   a shard from outside: name, bytes, version, columns, size, and every record. Only then is it used
"""

import hashlib
import io
import re
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from schema.circuit.records import Circuit, Prompt, Run
from schema.errors import FileError, InputError
from schema.loading.validate import check_record
from schema.shards.columns import SCHEMA, frames, from_table, to_table

VERSION = "1"
"""Version of the format. A shard of another version is refused."""
UNPACKED_LIMIT = 2 << 30
"""Largest size in bytes of the columns of a shard. One that the atlas wrote has a hundredth of it."""
AGAIN = "delete it and run the command that wrote it again; only its circuits are computed again"
_NAME = re.compile(r"circuits-(?P<run>[0-9a-f]{8})-(?P<line>[0-9]{8,})-(?P<hash>[0-9a-f]{32})\.parquet")
_VERSION, _RUN = b"circuit_atlas.shard", b"circuit_atlas.run"


class _Facts(msgspec.Struct):
    """What is read of the facts of a circuit when nothing else of them is needed."""

    prompt: Prompt


class CircuitSize(NamedTuple):
    """How large a circuit of a shard is."""

    n_active_features: int | None
    """Feature nodes that were active before any selection; None when unknown."""
    n_edges: int


def is_shard_name(name: str) -> bool:
    """Whether a file's name is that of a shard."""
    return _NAME.fullmatch(name) is not None


def pack(circuits: Sequence[Circuit], run: Run, line: int) -> tuple[str, bytes]:
    """The name and the bytes of a shard. line: place of the first prompt; it decides the order of shards.

    The circuits are those that `schema.loading.validate` accepts.
    """
    table = to_table(circuits).replace_schema_metadata({_VERSION: VERSION.encode(), _RUN: _run_text(run)})
    file = io.BytesIO()
    # Half of the size is weights, which hardly repeat: a dictionary of them would only take time.
    pq.write_table(table, file, compression="zstd", use_dictionary=["kind"])
    data = file.getvalue()
    digest = hashlib.sha256(data).hexdigest()[:32]
    return f"circuits-{run.id[:8]}-{line:08}-{digest}.parquet", data


class Shard:
    """A shard that was read and whose bytes, version and columns were checked."""

    def __init__(self, address: str, data: bytes) -> None:
        """address: where the shard is; its last part is the name. Raises FileError."""
        self.address = address
        self.n_bytes = len(data)
        name = address.rpartition("/")[2]
        found = _NAME.fullmatch(name)
        if found is None:
            raise FileError(
                address, "the name", "is not that of a shard", next_step="name files that `--to` wrote"
            )
        self.line = int(found["line"])
        """Line of the first prompt."""
        if hashlib.sha256(data).hexdigest()[:32] != found["hash"]:
            raise FileError(
                address, "the bytes", "were changed or cut off since the shard was written", next_step=AGAIN
            )
        with _refusing(address):
            file = pq.ParquetFile(io.BytesIO(data))
            self.run = _checked(address, file)
            self._table = file.read()
            self.ids: list[str] = self._table["id"].to_pylist()
        if self.run.id[:8] != found["run"]:
            raise FileError(address, "the name", "names another run than the shard", next_step=AGAIN)

    def frames(self) -> list[Circuit]:
        """The circuits without nodes, edges and heads of edges, in order. Raises FileError."""
        return self._with_ids(lambda: frames(self._table))

    def circuits(self) -> list[Circuit]:
        """The circuits in order, each checked as before a load. Raises FileError."""
        circuits = self._with_ids(lambda: from_table(self._table))
        with _refusing(self.address):
            for each in circuits:
                check_record(each)
        return circuits

    def _with_ids(self, read: Callable[[], list[Circuit]]) -> list[Circuit]:
        with _refusing(self.address):
            circuits = read()
            if [each.id for each in circuits] != self.ids:
                raise ValueError("ids are not those of the circuits")
        return circuits


def sizes(address: str, file: IO[bytes]) -> dict[str, CircuitSize]:
    """Id → size of each circuit of a shard, without reading the rest. Raises FileError."""
    with _refusing(address):
        parquet = pq.ParquetFile(file)
        _checked(address, parquet)
        table = parquet.read(["id", "n_active_features", "n_edges"])
        return {row["id"]: CircuitSize(row["n_active_features"], row["n_edges"]) for row in table.to_pylist()}


def prompts(address: str, file: IO[bytes], wanted: Container[str]) -> dict[str, Prompt]:
    """Id → prompt of each wanted circuit of a shard, without reading the rest. Raises FileError."""
    with _refusing(address):
        parquet = pq.ParquetFile(file)
        _checked(address, parquet)
        if not any(id_ in wanted for id_ in parquet.read(["id"])["id"].to_pylist()):
            return {}
        rows = parquet.read(["id", "facts"]).to_pylist()
        decoder = msgspec.json.Decoder(_Facts)
        return {row["id"]: decoder.decode(row["facts"]).prompt for row in rows if row["id"] in wanted}


def _checked(address: str, file: pq.ParquetFile) -> Run:
    """The run of a shard, after a check of version, columns and size."""
    metadata = file.metadata.metadata or {}
    version = metadata.get(_VERSION)
    if version is None:
        raise FileError(
            address, "the file", "is Parquet, but no shard", next_step="name files that `--to` wrote"
        )
    if version != VERSION.encode():
        raise FileError(
            address,
            "the version",
            f"is {version.decode(errors='replace')[:20]}; this atlas reads version {VERSION}",
            next_step="write the shards again with this version of the atlas, or install the version that "
            "wrote them",
        )
    if not file.schema_arrow.equals(SCHEMA):
        raise FileError(address, "the columns", "are not those of a shard", next_step=AGAIN)
    groups = (file.metadata.row_group(place) for place in range(file.metadata.num_row_groups))
    if sum(group.total_byte_size for group in groups) > UNPACKED_LIMIT:
        raise FileError(
            address, "the columns", f"unpack to more than {UNPACKED_LIMIT >> 20} MB", next_step=AGAIN
        )
    return msgspec.json.decode(metadata.get(_RUN, b""), type=Run)


def _run_text(run: Run) -> bytes:
    return msgspec.json.encode(Run(dict(run.settings), dict(run.versions)))


@contextmanager
def _refusing(address: str) -> Iterator[None]:
    """Turn what readers raise for wrong bytes into a FileError that names the shard."""
    try:
        yield
    except FileError:
        raise
    except (pa.ArrowException, msgspec.MsgspecError, ValueError, TypeError, OSError, RecursionError) as error:
        reason = " ".join(str(error).split())[:300]
        raise FileError(address, "the shard", f"cannot be read: {reason}", next_step=AGAIN) from error
    except InputError as error:  # of a record
        raise FileError(address, "the shard", error.what, next_step=AGAIN) from error
