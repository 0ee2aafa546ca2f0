"""Circuits as flat tables in Parquet or CSV: circuits, nodes, edges, labels and supernodes.

The columns are the ids that connect the tables, and the properties that `schema.model.core` declares. An
unknown value is null. Only one circuit is in memory at a time.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from schema.atomic_file import atomic_write
from schema.circuit.records import Circuit, NodeKind, Run
from schema.exports.arrow import arrow_type, batch, columns_of, property_type
from schema.exports.csv_lines import csv_line
from schema.loading.properties import Properties
from schema.loading.rows import KINDS, body, frame
from schema.model.core import (
    CIRCUIT,
    ERROR_NODE,
    FEATURE_NODE,
    LOGIT_NODE,
    NODE,
    OTHER_NODE,
    SUPERNODE,
    TOKEN_NODE,
)
from schema.model.declare import NodeType
from schema.model.labels import LABEL

FORMATS = ("parquet", "csv")


def _columns(*nodes: NodeType, first: dict[str, pa.DataType], skip: tuple[str, ...] = ()) -> pa.Schema:
    fields = dict(first)
    for node in nodes:
        for each in node.properties:
            if each.name not in skip:
                fields.setdefault(each.name, property_type(each.type))
    return pa.schema(list(fields.items()))


_TEXT = pa.string()
SCHEMAS: dict[str, pa.Schema] = {
    "circuits": _columns(
        CIRCUIT,
        first={
            "id": _TEXT,
            "model": _TEXT,
            "transcoders": _TEXT,
            "prompt": _TEXT,
            "text": _TEXT,
            "tokens": arrow_type(list[str]),
            "family": _TEXT,
            "tags": arrow_type(list[str]),
        },
    ),
    "nodes": _columns(
        *(NODE, FEATURE_NODE, ERROR_NODE, TOKEN_NODE, LOGIT_NODE, OTHER_NODE),
        first={"id": _TEXT, "circuit": _TEXT, "kind": _TEXT, "feature": _TEXT},
    ),
    "edges": pa.schema(
        [
            ("circuit", _TEXT),
            ("source", _TEXT),
            ("target", _TEXT),
            ("weight", pa.float64()),
            ("share", pa.float64()),
        ]
    ),
    "labels": _columns(LABEL, first={"id": _TEXT, "feature": _TEXT}, skip=("rule", "asked", "answered")),
    "supernodes": _columns(
        SUPERNODE,
        first={"id": _TEXT, "circuit": _TEXT, "members": arrow_type(list[str])},
        skip=("made_at",),
    ),
}
"""Name of a table → its columns."""


def rows_of(circuit: Circuit) -> dict[str, list[Properties]]:
    """Name of a table → the rows of the circuit."""
    framed, parts = frame(circuit, Run({}, {})), body(circuit)
    prompt, circuit_id, edges = framed.prompt, circuit.id, parts.edges
    features = [row["id"] for row in parts.features]
    nodes = []
    for kind, rows in zip(KINDS, parts.nodes, strict=True):
        for place, row in enumerate(rows):
            feature = features[parts.instance_of[place]] if kind is NodeKind.FEATURE else None
            nodes.append({**row, "circuit": circuit_id, "kind": str(kind), "feature": feature})
    ids = parts.nodes.ids()
    columns = zip(edges.sources, edges.targets, edges.weights, edges.shares, strict=True)
    return {
        "circuits": [
            {
                **framed.circuit,
                "model": circuit.model.id,
                "transcoders": circuit.transcoders.id,
                "prompt": prompt["id"],
                "text": prompt["text"],
                "tokens": prompt["tokens"],
                "family": circuit.prompt.family,
                "tags": framed.tags,
            }
        ],
        "nodes": nodes,
        "edges": [
            {"circuit": circuit_id, "source": ids[s], "target": ids[t], "weight": w, "share": share}
            for s, t, w, share in columns
        ],
        "labels": [{**row["label"], "feature": features[row["feature"]]} for row in parts.labels],
        "supernodes": [
            {**row["supernode"], "circuit": circuit_id, "members": [ids[i] for i in row["members"]]}
            for row in parts.supernodes
        ],
    }


class TableFiles:
    """Writes the tables of one circuit after the other to files; use it as a context manager.

    All files get their final names when the block ends without an error. When an export fails, files of an
    earlier export stay as they are.
    """

    def __init__(self, folder: Path, format_: str) -> None:
        """folder: created when it does not exist. format_: one of FORMATS."""
        self.folder, self.format = folder, format_
        self._writers: dict[str, RowWriter] = {}

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        paths = {name: self.folder / f"{name}.{self.format}" for name in SCHEMAS}
        with ExitStack() as stack:
            # Contexts are left in the opposite order, so every file is closed before the first one is
            # renamed.
            parts = {name: stack.enter_context(atomic_write(path)) for name, path in paths.items()}
            for name, columns in SCHEMAS.items():
                self._writers[name] = stack.enter_context(RowWriter(parts[name], self.format, columns))
            self._stack = stack.pop_all()
        return self

    def write(self, circuit: Circuit) -> None:
        """Append the rows of a circuit to every table."""
        for name, rows in rows_of(circuit).items():
            self._writers[name].write(rows)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)


class RowWriter:
    """Writes one table to a file. The path `-` means standard output, for CSV only."""

    def __init__(self, path: Path, format_: str, columns: pa.Schema) -> None:
        self.path, self.format, self.columns = path, format_, columns
        self._parquet: pq.ParquetWriter | None = None
        self._text: TextIO | None = None

    def __enter__(self) -> Self:
        if self.format == "parquet":
            self._parquet = pq.ParquetWriter(self.path, self.columns)
        else:
            if str(self.path) != "-":
                self._text = self.path.open("w", encoding="utf-8", newline="")
            self._csv = self._text or sys.stdout
            self._csv.write(csv_line(self.columns.names))
        return self

    def write(self, rows: list[Properties]) -> None:
        """Append rows. Keys without a column are left out; absent keys are null."""
        if self._parquet is not None:
            if rows:
                self._parquet.write_batch(batch(self.columns, columns_of(self.columns, rows)))
        else:
            names = self.columns.names
            self._csv.writelines(csv_line(row.get(name) for name in names) for row in rows)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._parquet is not None:
            self._parquet.close()
        if self._text is not None:
            self._text.close()


def chunks(rows: Iterator[dict[str, Any]], size: int = 10_000) -> Iterator[list[dict[str, Any]]]:
    """The rows in lists of at most `size` rows."""
    chunk: list[dict[str, Any]] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
