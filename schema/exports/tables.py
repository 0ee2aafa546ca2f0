"""Circuits as flat tables, Parquet or CSV: circuits, nodes, edges, labels and supernodes.

Columns are the properties that `schema.model.core` declares, after the ids that tie the tables together; an
unknown value is null. One circuit at a time is in memory.
"""

import csv
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from schema.atomic_file import whole_file
from schema.circuit.records import Circuit, Run
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
_TYPES = {
    "string": pa.string(),
    "integer": pa.int64(),
    "float": pa.float64(),
    "boolean": pa.bool_(),
    "list of strings": pa.list_(pa.string()),
    "list of integers": pa.list_(pa.int64()),
    "list of floats": pa.list_(pa.float64()),
}


def _columns(*nodes: NodeType, first: dict[str, pa.DataType], skip: tuple[str, ...] = ()) -> pa.Schema:
    fields = dict(first)
    for node in nodes:
        for each in node.properties:
            if each.name not in skip:
                fields.setdefault(each.name, _TYPES[each.type])
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
            "tokens": _TYPES["list of strings"],
            "family": _TEXT,
            "tags": _TYPES["list of strings"],
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
        first={"id": _TEXT, "circuit": _TEXT, "members": _TYPES["list of strings"]},
        skip=("made_at",),
    ),
}
"""Table → its columns."""


def rows_of(circuit: Circuit) -> dict[str, list[dict[str, Any]]]:
    """Table → the circuit's rows."""
    framed, inner = frame(circuit, Run({}, {})), body(circuit)
    prompt, circuit_id = framed["prompt"], circuit.id
    features = [row[0] for row in inner["features"]]
    nodes = []
    for kind in KINDS:
        for place, row in enumerate(inner[kind]):
            feature = features[inner["instance_of"][place]] if kind == "feature_nodes" else None
            kind_name = kind.removesuffix("_nodes")
            nodes.append({**row, "circuit": circuit_id, "kind": kind_name, "feature": feature})
    ids = [row["id"] for row in nodes]
    columns = zip(inner["sources"], inner["targets"], inner["weights"], inner["shares"], strict=True)
    return {
        "circuits": [
            {
                **framed["circuit"],
                "model": circuit.model.id,
                "transcoders": circuit.transcoders.id,
                "prompt": prompt["id"],
                "text": prompt["text"],
                "tokens": prompt["tokens"],
                "family": circuit.prompt.family,
                "tags": framed["tags"],
            }
        ],
        "nodes": nodes,
        "edges": [
            {"circuit": circuit_id, "source": ids[s], "target": ids[t], "weight": w, "share": share}
            for s, t, w, share in columns
        ],
        "labels": [{**row["label"], "feature": features[row["feature"]]} for row in inner["labels"]],
        "supernodes": [
            {**row["supernode"], "circuit": circuit_id, "members": [ids[i] for i in row["members"]]}
            for row in inner["supernodes"]
        ],
    }


class Tables:
    """Files that grow by a circuit at a time; use it as a context manager.

    They get their names together when the block ends well; an export that failed leaves what was there.
    """

    def __init__(self, folder: Path, format_: str) -> None:
        """folder: made when it is not there. format_: one of FORMATS."""
        self.folder, self.format = folder, format_
        self._writers: dict[str, RowWriter] = {}

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        paths = {name: self.folder / f"{name}.{self.format}" for name in SCHEMAS}
        with ExitStack() as stack:
            # Left in the other order: every file is closed before the first is moved.
            parts = {name: stack.enter_context(whole_file(path)) for name, path in paths.items()}
            for name, columns in SCHEMAS.items():
                self._writers[name] = stack.enter_context(RowWriter(parts[name], self.format, columns))
            self._stack = stack.pop_all()
        return self

    def write(self, circuit: Circuit) -> None:
        for name, rows in rows_of(circuit).items():
            self._writers[name].write(rows)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)


class RowWriter:
    """One table's file; the path `-` is the screen, for CSV."""

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
            self._csv = csv.writer(self._text or sys.stdout)
            self._csv.writerow(self.columns.names)
        return self

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Append rows; keys that are no column are left out, absent ones are null."""
        if self._parquet is not None:
            if rows:
                self._parquet.write_table(pa.Table.from_pylist(rows, schema=self.columns))
        else:
            names = self.columns.names
            self._csv.writerows([_cell(row.get(name)) for name in names] for row in rows)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._parquet is not None:
            self._parquet.close()
        if self._text is not None:
            self._text.close()


def _cell(value: Any) -> Any:
    """CSV has no lists: JSON stands for them."""
    return orjson.dumps(value).decode() if isinstance(value, list | tuple | dict) else value


def chunks(rows: Iterator[dict[str, Any]], size: int = 10_000) -> Iterator[list[dict[str, Any]]]:
    """Lists of at most `size` rows."""
    chunk: list[dict[str, Any]] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
