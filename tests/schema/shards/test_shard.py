"""Shards hold circuits exactly, and a shard that is not as it was written is refused by name."""

import hashlib
import io
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schema.errors import FileError
from schema.shards.shard import Shard, is_shard_name, pack, sizes
from tests.support.circuits import RUN, synthetic_circuits
from tests.support.tiny_circuit import tiny

CIRCUITS = synthetic_circuits(6)


def test_circuits_come_back_exactly() -> None:
    strange = replace(CIRCUITS[0], labels=(), supernodes=(), edges=(), head_parts=(), head_totals=())
    circuits = [*CIRCUITS[1:], strange, tiny()]
    name, data = pack(circuits, RUN, 7)
    shard = Shard(f"somewhere/{name}", data)
    assert shard.circuits() == circuits
    assert shard.run == RUN
    assert shard.ids == [each.id for each in circuits]
    assert shard.frames() == [replace(each, nodes=(), edges=(), head_parts=()) for each in circuits]
    assert sizes(name, io.BytesIO(data)) == {
        each.id: (each.n_active_features, len(each.edges)) for each in circuits
    }


def test_equal_circuits_give_equal_shards_with_names_in_order() -> None:
    first, again, later = pack(CIRCUITS, RUN, 9), pack(CIRCUITS, RUN, 9), pack(CIRCUITS, RUN, 100)
    assert first == again
    assert first[1] == later[1]
    assert first[0] < later[0]
    assert is_shard_name(first[0])


def test_other_programs_read_the_columns() -> None:
    data = pack(CIRCUITS, RUN, 1)[1]
    edges = pq.read_table(io.BytesIO(data))["edges"].to_pylist()
    assert edges == [[edge._asdict() for edge in each.edges] for each in CIRCUITS]


def rewritten(change: Callable[[pa.Table], pa.Table]) -> tuple[str, bytes]:
    """A shard whose table was changed by someone who gave it the right name."""
    table = change(pq.read_table(io.BytesIO(pack(CIRCUITS, RUN, 1)[1])))
    file = io.BytesIO()
    pq.write_table(table, file)
    return named(file.getvalue()), file.getvalue()


def named(data: bytes) -> str:
    return f"circuits-{RUN.id[:8]}-00000001-{hashlib.sha256(data).hexdigest()[:32]}.parquet"


def with_metadata(table: pa.Table, **metadata: str) -> pa.Table:
    """metadata: names without `circuit_atlas.`; an empty value deletes one."""
    changed = {f"circuit_atlas.{name}".encode(): value.encode() for name, value in metadata.items()}
    both = {**(table.schema.metadata or {}), **changed}
    return table.replace_schema_metadata({key: value for key, value in both.items() if value})


def with_column(table: pa.Table, name: str, values: list[object]) -> pa.Table:
    place = table.schema.get_field_index(name)
    field = table.schema.field(place)
    return table.set_column(place, field, pa.array(values, field.type))


NAME, DATA = pack(CIRCUITS, RUN, 1)
FACTS = pq.read_table(io.BytesIO(DATA))["facts"].to_pylist()
DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        (NAME, DATA[:-100], "the bytes: were changed or cut off"),
        (NAME, b"", "the bytes: were changed or cut off"),
        (NAME, DATA[:500] + bytes([DATA[500] ^ 1]) + DATA[501:], "the bytes: were changed or cut off"),
        ("table.parquet", DATA, "the name: is not that of a shard"),
        (named(DATA[:-100]), DATA[:-100], "the shard: cannot be read"),
        (named(b"PAR1"), b"PAR1", "the shard: cannot be read"),
        (NAME.replace(RUN.id[:8], "0" * 8), DATA, "the name: names another run"),
        (*rewritten(lambda table: with_metadata(table, shard="2")), "the version: is 2; this atlas reads"),
        (*rewritten(lambda table: with_metadata(table, shard="")), "is Parquet, but no shard"),
        (*rewritten(lambda table: with_metadata(table, run="{}")), "the shard: cannot be read"),
        (*rewritten(lambda table: table.drop(["edges"])), "the columns: are not those of a shard"),
        (
            *rewritten(lambda table: with_column(table, "facts", ["{}"] * len(FACTS))),
            "the shard: cannot be read",
        ),
        (
            *rewritten(lambda table: with_column(table, "facts", [DEEP] * len(FACTS))),
            "the shard: cannot be read",
        ),
        (
            *rewritten(lambda table: with_column(table, "facts", FACTS[::-1])),
            "ids are not those of the circuits",
        ),
        (
            *rewritten(lambda table: with_column(table, "nodes", table["nodes"].to_pylist()[::-1])),
            "the shard: ",
        ),
    ],
)
def test_a_bad_shard_is_refused_by_name(name: str, data: bytes, said: str) -> None:
    with pytest.raises(FileError) as refused:
        Shard(f"folder/{name}", data).circuits()
    assert str(refused.value).startswith(f"folder/{name}: ")
    assert said in str(refused.value)
    assert refused.value.next_step


def test_no_changed_byte_goes_unnoticed() -> None:
    name, data = pack(CIRCUITS[:1], RUN, 1)
    for place in range(0, len(data), 97):
        changed = data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]
        with pytest.raises(FileError):
            Shard(name, changed)
        with suppress(FileError):  # with the right name it is refused or read, and nothing else happens
            Shard(named(changed), changed).circuits()
