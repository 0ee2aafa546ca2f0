"""Tables as bytes, piece by piece: CSV, Parquet, Arrow IPC (the stream format) and JSON lines.

Columns come from the types of a row; an unknown value is null in every format (in CSV: nothing at all, where
an empty text is `""`). CSV has no lists: JSON stands for them.
"""

import io
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import orjson
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

Rows = Sequence[Mapping[str, Any]]
ROW_GROUP = 16_384
"""Rows of a row group of Parquet: what a download holds in memory at most."""

_TYPES: dict[object, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    list[str]: pa.list_(pa.string()),
    list[int]: pa.list_(pa.int64()),
    list[float]: pa.list_(pa.float64()),
}


def arrow_type(hint: object) -> pa.DataType:
    """The type of a column whose values are annotated with `hint`, such as `float | None`."""
    if isinstance(hint, types.UnionType):
        (hint,) = (each for each in typing.get_args(hint) if each is not type(None))
    return _TYPES[hint]


def batch(schema: pa.Schema, rows: Rows) -> pa.RecordBatch:
    """The rows as columns; keys that are no column are left out, absent ones are null."""
    arrays = [pa.array([row.get(field.name) for row in rows], field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


class Writer(Protocol):
    """A table in one format."""

    def write(self, rows: Rows) -> bytes: ...

    def end(self) -> bytes: ...


class _Pipe(io.RawIOBase):
    """A file that hands out what was written since the last time."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        self._size += len(self._parts[-1])
        return len(self._parts[-1])

    def tell(self) -> int:
        return self._size

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


class _Parquet:
    def __init__(self, schema: pa.Schema) -> None:
        self._schema, self._pipe = schema, _Pipe()
        self._writer = pq.ParquetWriter(self._pipe, schema)
        self._waiting: list[pa.RecordBatch] = []

    def write(self, rows: Rows) -> bytes:
        self._waiting.append(batch(self._schema, rows))
        if sum(each.num_rows for each in self._waiting) >= ROW_GROUP:
            self._flush()
        return self._pipe.take()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.Table.from_batches(self._waiting, self._schema))
            self._waiting = []

    def end(self) -> bytes:
        self._flush()
        self._writer.close()
        return self._pipe.take()


class _Arrow:
    def __init__(self, schema: pa.Schema) -> None:
        self._schema, self._pipe = schema, _Pipe()
        self._writer = pa.ipc.new_stream(self._pipe, schema)

    def write(self, rows: Rows) -> bytes:
        self._writer.write_batch(batch(self._schema, rows))
        return self._pipe.take()

    def end(self) -> bytes:
        self._writer.close()
        return self._pipe.take()


class _Csv:
    def __init__(self, schema: pa.Schema) -> None:
        self._lists = [field.name for field in schema if pa.types.is_list(field.type)]
        plain = [(field.name, pa.string() if field.name in self._lists else field.type) for field in schema]
        self._schema, self._pipe = pa.schema(plain), _Pipe()
        self._writer = pa_csv.CSVWriter(self._pipe, self._schema)

    def write(self, rows: Rows) -> bytes:
        for name in self._lists:
            rows = [
                {**row, name: None if row.get(name) is None else orjson.dumps(row[name]).decode()}
                for row in rows
            ]
        self._writer.write_batch(batch(self._schema, rows))
        return self._pipe.take()

    def end(self) -> bytes:
        self._writer.close()
        return self._pipe.take()


class _JsonLines:
    def __init__(self, schema: pa.Schema) -> None:
        self._names = schema.names

    def write(self, rows: Rows) -> bytes:
        lines = (orjson.dumps({name: row.get(name) for name in self._names}) for row in rows)
        return b"".join(line + b"\n" for line in lines)

    def end(self) -> bytes:
        return b""


class Format(typing.NamedTuple):
    """One way of writing tables."""

    media_type: str
    writer: type[_Parquet] | type[_Arrow] | type[_Csv] | type[_JsonLines]


FORMATS = {
    "csv": Format("text/csv; charset=utf-8; header=present", _Csv),
    "parquet": Format("application/vnd.apache.parquet", _Parquet),
    "arrow": Format("application/vnd.apache.arrow.stream", _Arrow),
    "jsonl": Format("application/jsonl", _JsonLines),
}
"""Ending of a file's name → how it is written."""
