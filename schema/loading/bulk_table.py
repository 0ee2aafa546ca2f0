"""One CSV file for Neo4j's importer, filled row by row or by columns.

An absent value is empty, an empty text is "", and a list is its elements with a separator between them.
"""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv

from schema.model.declare import Property

SEPARATOR = "\x1f"
"""Character between the elements of a list."""

ROWS = 200_000
"""Number of rows that wait in memory before they are written."""

_ARROW = {"string": pa.string(), "integer": pa.int64(), "float": pa.float64(), "boolean": pa.bool_()}
_CSV = {
    "string": "string",
    "integer": "long",
    "float": "double",
    "boolean": "boolean",
    "datetime": "datetime",
}


def _header(property_: Property) -> str:
    kind = property_.type
    if kind.startswith("list of "):
        return f"{property_.name}:{_CSV[kind.removeprefix('list of ').removesuffix('s')]}[]"
    return f"{property_.name}:{_CSV[kind]}"


class Table:
    """Collects the rows of one label or relationship type and writes them to one file and its header file."""

    def __init__(self, path: Path, keys: list[str], properties: tuple[Property, ...]) -> None:
        self.path = path
        self.rows = 0
        self._keys = keys
        self._properties = properties
        self._columns: list[list[Any]] = [[] for _ in (*keys, *properties)]
        header = path.with_suffix(".header.csv")
        header.write_text(",".join([*keys, *map(_header, properties)]) + "\n", encoding="utf-8")
        self._file = path.open("wb")

    def add(self, keys: tuple[int, ...], properties: dict[str, Any]) -> None:
        """Add one row. Properties that are not given are absent."""
        for column, key in zip(self._columns, keys, strict=False):
            column.append(key)
        for column, each in zip(self._columns[len(keys) :], self._properties, strict=True):
            column.append(properties.get(each.name))
        self.rows += 1
        if len(self._columns[0]) >= ROWS:
            self.flush()

    def extend(self, columns: list[Any]) -> None:
        """Add many rows, given by columns in the order of the header."""
        for column, values in zip(self._columns, columns, strict=True):
            column.extend(values)
        self.rows += len(columns[0])
        if len(self._columns[0]) >= ROWS:
            self.flush()

    def flush(self) -> None:
        """Write the rows that wait in memory."""
        if self._columns[0]:
            arrays = [pa.array(values, pa.int64()) for values in self._columns[: len(self._keys)]]
            for values, each in zip(self._columns[len(self._keys) :], self._properties, strict=True):
                arrays.append(_array(values, each))
            self.write(pa.table(arrays, [str(number) for number in range(len(arrays))]))
            self._columns = [[] for _ in self._columns]

    def write(self, table: pa.Table) -> None:
        """Write a table whose columns have the order of the header."""
        options = pyarrow.csv.WriteOptions(include_header=False)
        pyarrow.csv.write_csv(table, self._file, options)

    def close(self) -> None:
        """Write the rest and close the file."""
        self.flush()
        self._file.close()


def _array(values: list[Any], property_: Property) -> pa.Array:
    if property_.type.startswith("list of "):
        return pa.array([None if value is None else _joined(value) for value in values], pa.string())
    return pa.array(values, _ARROW[property_.type])


def _joined(values: list[Any]) -> str | None:
    texts = [str(value) for value in values]
    return None if unwritable(values) else SEPARATOR.join(texts)


def unwritable(values: list[Any]) -> bool:
    """Whether CSV cannot hold a list: it is empty, or an element is empty or has the separator in it."""
    return not values or any(isinstance(v, str) and (not v or SEPARATOR in v) for v in values)
