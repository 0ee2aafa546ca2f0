"""Circuits ↔ the columns of a shard: one row for each circuit.

Nodes, edges and the heads of edges are lists of structs whose fields are those of the records, so that other
programs can read them. Everything else of a circuit is small and is one JSON text. Both ways are exact.
"""

import types
import typing
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from enum import StrEnum
from itertools import pairwise, starmap
from typing import Any

import msgspec
import pyarrow as pa

from schema.circuit.attention import HeadPart
from schema.circuit.records import Circuit, Edge, Node, NodeKind
from schema.exports.arrow import arrow_type

PARTS = {"nodes": Node, "edges": Edge, "head_parts": HeadPart}
"""Field of `Circuit` that is a column of lists → the record of one entry."""
_BARE: dict[str, Any] = dict.fromkeys(PARTS, ())


def _hints(record: type) -> dict[str, Any]:
    hints = typing.get_type_hints(record)
    names = record._fields if hasattr(record, "_fields") else [each.name for each in fields(record)]
    return {name: hints[name] for name in names}


def _struct(record: type) -> pa.DataType:
    """A struct with the fields of a record. A field may hold nulls when the record's field may be None."""
    return pa.struct(
        [
            pa.field(
                name,
                pa.string() if isinstance(hint, type) and issubclass(hint, StrEnum) else arrow_type(hint),
                nullable=isinstance(hint, types.UnionType),
            )
            for name, hint in _hints(record).items()
        ]
    )


_STRUCTS = {name: _struct(record) for name, record in PARTS.items()}
SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("family", pa.string()),
        pa.field("n_active_features", pa.int64()),
        pa.field("n_edges", pa.int64(), nullable=False),
        pa.field("facts", pa.string(), nullable=False),
        *(
            pa.field(name, pa.list_(pa.field("element", struct, nullable=False)), nullable=False)
            for name, struct in _STRUCTS.items()
        ),
    ]
)
"""The columns of a shard. `facts` is the circuit without nodes, edges and heads of edges, as JSON."""


def to_table(circuits: Sequence[Circuit]) -> pa.Table:
    """The circuits as a table."""
    columns: dict[str, Any] = {
        "id": [each.id for each in circuits],
        "prompt": [each.prompt.text for each in circuits],
        "family": [each.prompt.family for each in circuits],
        "n_active_features": [each.n_active_features for each in circuits],
        "n_edges": [len(each.edges) for each in circuits],
        "facts": [msgspec.json.encode(replace(each, **_BARE)).decode() for each in circuits],
    }
    arrays = [pa.array(columns[each.name], each.type) for each in SCHEMA if each.name in columns]
    arrays += [_lists(name, [getattr(each, name) for each in circuits]) for name in PARTS]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def frames(table: pa.Table) -> list[Circuit]:
    """The circuits of a table without nodes, edges and heads of edges. Raises what msgspec raises."""
    decoder = msgspec.json.Decoder(Circuit)
    return [decoder.decode(text) for text in table["facts"].to_pylist()]


def from_table(table: pa.Table) -> list[Circuit]:
    """The circuits of a table. Raises ValueError or what msgspec raises when a value is not valid."""
    nodes, edges, parts = (_entries(table[name], record) for name, record in PARTS.items())
    columns = zip(frames(table), nodes, edges, parts, strict=True)
    return [replace(frame, nodes=n, edges=e, head_parts=p) for frame, n, e, p in columns]


def _lists(name: str, lists: Sequence[Sequence[Any]]) -> pa.Array:
    struct = _STRUCTS[name]
    offsets = [0]
    for each in lists:
        offsets.append(offsets[-1] + len(each))
    columns = [
        pa.array([getattr(entry, field.name) for entries in lists for entry in entries], field.type)
        for field in struct
    ]
    values = pa.StructArray.from_arrays(columns, fields=list(struct))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values, type=SCHEMA.field(name).type)


def _entries(column: pa.ChunkedArray, record: type) -> list[tuple[Any, ...]]:
    """The entries of each row of a column of lists, as records."""
    values = column.combine_chunks()
    flat = values.flatten()
    columns: list[Iterable[Any]] = [flat.field(name).to_pylist() for name in _hints(record)]
    if record is Node:
        columns[0] = map(NodeKind, columns[0])
    records = list(starmap(record, zip(*columns, strict=True)))
    ends = [0]
    for length in values.value_lengths().to_pylist():
        ends.append(ends[-1] + length)
    return [tuple(records[start:end]) for start, end in pairwise(ends)]
