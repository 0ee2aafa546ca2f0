"""Circuits, or the rows of a Cypher query, as files of other tools. One circuit at a time is in memory."""

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import pyarrow as pa

from schema.atomic_file import atomic_write
from schema.circuit.records import Circuit
from schema.database import Database
from schema.errors import InputError
from schema.exports.arrow import schema_of_rows
from schema.exports.graph_json import default_slug, to_json
from schema.exports.graphml import graphml
from schema.exports.node_link import node_link
from schema.exports.tables import RowWriter, TableFiles, chunks
from schema.loading.read import circuit_ids, read_circuit


class ExportFormat(StrEnum):
    """A file format."""

    JSON = "json"
    GRAPHML = "graphml"
    NODE_LINK = "node-link"
    PARQUET = "parquet"
    CSV = "csv"


STANDARD_OUTPUT = Path("-")
TABLES = (ExportFormat.PARQUET, ExportFormat.CSV)
_ENDINGS = {
    ExportFormat.JSON: ".json",
    ExportFormat.GRAPHML: ".graphml",
    ExportFormat.NODE_LINK: ".node-link.json",
}
_WRITERS: dict[ExportFormat, Callable[[Circuit], Iterable[bytes]]] = {
    ExportFormat.JSON: lambda circuit: (orjson.dumps(to_json(circuit)),),
    ExportFormat.GRAPHML: lambda circuit: (line.encode() for line in graphml(circuit)),
    ExportFormat.NODE_LINK: node_link,
}
_PARAM = re.compile(r"^\s*:param\s+(\w+)\s*=>\s*(.*?);?\s*$", re.MULTILINE)
COLUMN = "circuit"
"""The column of a query that names the circuits to write."""


def export_circuits(
    database: Database, names: list[str], format_: ExportFormat, out: Path, *, step: Callable[[], None]
) -> int:
    """Write circuits to `out`. Returns how many circuits were written.

    names: ids of circuits or their beginnings, slugs, prompt families or tags; no names mean all circuits.
    out: a file for one graph (`-`: the standard output), a folder for several graphs or for tables. step: is
    called after each circuit. Raises NotFoundError for an unknown name, InputError when a file cannot be
    written.
    """
    return _write(database, circuit_ids(database, names), format_, out, step)


def export_query(
    database: Database,
    text: str,
    parameters: dict[str, Any],
    format_: ExportFormat,
    out: Path,
    *,
    step: Callable[[], None],
) -> int:
    """Write the rows of a Cypher query as a table, or the circuits that its column `circuit` names.

    parameters: values for the query; they take the place of those in its `:param` lines. Returns how many
    rows or circuits were written. Raises InputError, DatabaseError.
    """
    given = {name: _value(value) for name, value in _PARAM.findall(text)} | parameters
    columns: list[str] = []
    rows = database.stream(_PARAM.sub("", text), given, columns=columns)
    if format_ in TABLES:
        return _write_rows(rows, columns, format_, out)
    ids: dict[str, None] = {}
    for row in rows:
        if not isinstance(row.get(COLUMN), str):
            raise InputError(
                f"The query has no column `{COLUMN}` with the ids of circuits",
                next_step=f"add `c.id AS {COLUMN}`, or write the rows with --format parquet or csv",
            )
        ids[row[COLUMN]] = None
    return _write(database, list(ids), format_, out, step)


def _write(
    database: Database, ids: list[str], format_: ExportFormat, out: Path, step: Callable[[], None]
) -> int:
    if out == STANDARD_OUTPUT and (format_ in TABLES or len(ids) != 1):
        what = "Tables are several files" if format_ in TABLES else f"These are {len(ids)} circuits"
        raise InputError(
            f"{what}, but the standard output takes one file", next_step="name a folder with --out"
        )
    if format_ in TABLES:
        with _named(out), TableFiles(out, format_) as tables:
            for circuit_id in ids:
                tables.write(read_circuit(database, circuit_id))
                step()
        return len(ids)
    single = len(ids) == 1 and not out.is_dir()
    names: set[str] = set()
    for circuit_id in ids:
        circuit = read_circuit(database, circuit_id)
        pieces = _WRITERS[format_](circuit)
        if out == STANDARD_OUTPUT:
            _put(pieces, sys.stdout.buffer)
        else:
            path = out if single else out / (_file_name(circuit, names) + _ENDINGS[format_])
            _save(pieces, path)
        step()
    return len(ids)


def _save(pieces: Iterable[bytes], path: Path) -> None:
    with _named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as part, part.open("wb") as file:
            _put(pieces, file)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn errors of the file system into an InputError that names the file."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror or error}", next_step="name another file or folder"
        ) from error


def _put(pieces: Iterable[bytes], file: BinaryIO) -> None:
    for piece in pieces:
        file.write(piece)


def _file_name(circuit: Circuit, taken: set[str]) -> str:
    """A safe and unique file name: plain characters of the slug, and the id when the slug is taken.

    Slugs come from files of others and must not lead out of the folder.
    """
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", default_slug(circuit)).strip("-")[:100] or circuit.id
    if name in taken:
        name = f"{name}-{circuit.id}"
    taken.add(name)
    return name


def _write_rows(rows: Iterator[dict[str, Any]], columns: list[str], format_: ExportFormat, out: Path) -> int:
    """Write a table. columns: the names of the columns; the list is filled when the first row is read."""
    if out == STANDARD_OUTPUT and format_ is not ExportFormat.CSV:
        raise InputError(
            "Parquet cannot be written to the standard output",
            next_step="name a file with --out, or use --format csv",
        )
    with _named(out):
        if out != STANDARD_OUTPUT:
            out.parent.mkdir(parents=True, exist_ok=True)
        with nullcontext(out) if out == STANDARD_OUTPUT else atomic_write(out) as path:
            return _append_rows(rows, columns, format_, path)


def _append_rows(rows: Iterator[dict[str, Any]], columns: list[str], format_: ExportFormat, out: Path) -> int:
    count = 0
    found = chunks({key: _plain(value) for key, value in row.items()} for row in rows)
    first = next(found, [])
    schema = _schema(first) if first else pa.schema([(name, pa.string()) for name in columns])
    with RowWriter(out, format_, schema) as writer:
        for chunk in chain([first], found):
            try:
                writer.write(chunk)
            except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                raise InputError(
                    f"A column of the query holds values of several types: {error}",
                    next_step="convert them to text with toString(), or use --format csv",
                ) from error
            count += len(chunk)
    return count


def _schema(rows: list[dict[str, Any]]) -> pa.Schema:
    try:
        return schema_of_rows(rows)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InputError(
            f"A column of the query holds values of several types: {error}",
            next_step="convert them to text with toString()",
        ) from error


def _plain(value: Any) -> Any:
    """A value of a row without types of the driver: nodes and relationships become dicts, dates text."""
    if hasattr(value, "items") and not isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.iso_format() if hasattr(value, "iso_format") else value


def _value(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text.strip("'\"")
