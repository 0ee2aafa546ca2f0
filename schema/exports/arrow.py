"""Arrow tables: the type of a column, and one rule for values that are unknown.

Every column may hold nulls. An unknown value is null, and so is the value of a key that a row lacks;
neither is ever 0, NaN or an empty text. `schema.exports.csv_lines` keeps the same rule.
"""

import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

Columns = Mapping[str, Sequence[Any]]
"""Part of a table: the values of each column by its name; all columns have the same length."""

_TYPES: dict[object, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    list[str]: pa.list_(pa.string()),
    list[int]: pa.list_(pa.int64()),
    list[float]: pa.list_(pa.float64()),
}
_DECLARED: dict[str, object] = {
    "string": str,
    "integer": int,
    "float": float,
    "boolean": bool,
    "list of strings": list[str],
    "list of integers": list[int],
    "list of floats": list[float],
}
"""Type of a property in `schema.model` → type of its values in Python."""


def arrow_type(hint: object) -> pa.DataType:
    """The type of a column whose values have the Python type `hint`, such as `float` or `float | None`."""
    if isinstance(hint, types.UnionType):
        (hint,) = (each for each in typing.get_args(hint) if each is not type(None))
    return _TYPES[hint]


def property_type(declared: str) -> pa.DataType:
    """The type of a column of a property whose declared type is, for example, `list of strings`."""
    return arrow_type(_DECLARED[declared])


def schema_of_rows(rows: list[dict[str, Any]]) -> pa.Schema:
    """The columns of rows of unknown types. A column without any value is text.

    Raises ArrowInvalid or ArrowTypeError when a column holds values of several types.
    """
    found = pa.Table.from_pylist(rows).schema
    return pa.schema([(each.name, pa.string() if each.type == pa.null() else each.type) for each in found])


def columns_of(schema: pa.Schema, rows: Sequence[Mapping[str, Any]]) -> Columns:
    """The rows as columns. Keys that are not a column are left out; missing keys become null."""
    return {name: [row.get(name) for row in rows] for name in schema.names}


def batch(schema: pa.Schema, columns: Columns) -> pa.RecordBatch:
    """The columns in the order and with the types of the schema."""
    arrays = [pa.array(columns[field.name], field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
