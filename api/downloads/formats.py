"""Tables as bytes, piece by piece: CSV, Parquet, Arrow IPC (the stream format) and JSON lines.

Columns come from the types of a row; an unknown value is null in every format (in CSV: nothing at all, where
an empty text is `""`). CSV has no lists: JSON stands for them.
"""

import io
import typing
from typing import Any, Protocol

import orjson
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from schema.exports.arrow import Columns, batch

ROW_GROUP = 16_384
"""Rows of a row group of Parquet: what a download holds in memory at most."""


class Writer(Protocol):
    """A table in one format."""

    def write(self, columns: Columns) -> bytes: ...

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

    def write(self, columns: Columns) -> bytes:
        self._waiting.append(batch(self._schema, columns))
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

    def write(self, columns: Columns) -> bytes:
        self._writer.write_batch(batch(self._schema, columns))
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

    def write(self, columns: Columns) -> bytes:
        lists = {
            name: [None if each is None else orjson.dumps(each).decode() for each in columns[name]]
            for name in self._lists
        }
        columns = {**columns, **lists}
        self._writer.write_batch(batch(self._schema, columns))
        return self._pipe.take()

    def end(self) -> bytes:
        self._writer.close()
        return self._pipe.take()


class _JsonLines:
    def __init__(self, schema: pa.Schema) -> None:
        self._names = schema.names

    def write(self, columns: Columns) -> bytes:
        every = zip(*(columns[name] for name in self._names), strict=True)
        return b"".join(orjson.dumps(dict(zip(self._names, row, strict=True))) + b"\n" for row in every)

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
