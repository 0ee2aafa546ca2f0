"""One CSV file for Neo4j's importer, filled row by row or by columns; and what DRIVES and DRIVES_IN say.

CSV says nothing for an absent value, "" for an empty text. A list is its elements, a separator between them.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from schema.model.declare import Property

SEPARATOR = "\x1f"
"""Between the elements of a list."""

ROWS = 200_000
"""Rows of one kind that wait in memory."""

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
    """The rows of one label or relationship type, on their way to one file."""

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
        for column, key in zip(self._columns, keys, strict=False):
            column.append(key)
        for column, each in zip(self._columns[len(keys) :], self._properties, strict=True):
            column.append(properties.get(each.name))
        self.rows += 1
        if len(self._columns[0]) >= ROWS:
            self.flush()

    def extend(self, columns: list[Any]) -> None:
        """Add many rows at once, given by columns in the header's order."""
        for column, values in zip(self._columns, columns, strict=True):
            column.extend(values)
        self.rows += len(columns[0])
        if len(self._columns[0]) >= ROWS:
            self.flush()

    def flush(self) -> None:
        if self._columns[0]:
            arrays = [pa.array(values, pa.int64()) for values in self._columns[: len(self._keys)]]
            for values, each in zip(self._columns[len(self._keys) :], self._properties, strict=True):
                arrays.append(_array(values, each))
            self.write(pa.table(arrays, [str(number) for number in range(len(arrays))]))
            self._columns = [[] for _ in self._columns]

    def write(self, table: pa.Table) -> None:
        options = pyarrow.csv.WriteOptions(include_header=False)
        pyarrow.csv.write_csv(table, self._file, options)

    def close(self) -> None:
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
    """Whether a list cannot be told from its text: it is empty, or holds the separator or an empty text."""
    return not values or any(isinstance(v, str) and (not v or SEPARATOR in v) for v in values)


def drives_of(
    sources: "np.ndarray[Any, Any]", targets: "np.ndarray[Any, Any]", weights: "np.ndarray[Any, Any]"
) -> Iterable[list["np.ndarray[Any, Any]"]]:
    """The columns of DRIVES before `pair`, as declared, of effects in the order of their circuits.

    Pairs are sorted, keeping that order among equals; then the k-th effects of all pairs that have so many
    are taken in one step, for k = 1, 2, …: the same operations on the same numbers as in the database.
    """
    if not len(weights):
        return
    order = np.lexsort((np.arange(len(weights)), targets, sources))
    sources, targets, weights = sources[order], targets[order], weights[order]
    new = np.ones(len(weights), dtype=bool)
    new[1:] = (sources[1:] != sources[:-1]) | (targets[1:] != targets[:-1])
    starts = np.flatnonzero(new)
    counts = np.diff(np.append(starts, len(weights)))
    by_count = np.argsort(-counts, kind="stable")
    starts, counts = starts[by_count], counts[by_count]
    mean, m2 = np.zeros(len(starts)), np.zeros(len(starts))
    positive, negative = np.zeros(len(starts), dtype=np.int64), np.zeros(len(starts), dtype=np.int64)
    alive = len(starts)
    for k in range(int(counts[0])):
        while alive and counts[alive - 1] <= k:
            alive -= 1
        w, before = weights[starts[:alive] + k], mean[:alive].copy()
        mean[:alive] = before + (w - before) / (k + 1)
        m2[:alive] = m2[:alive] + (w - before) * (w - mean[:alive])
        positive[:alive] += w > 0
        negative[:alive] += w < 0
    larger = np.maximum(positive, negative)
    yield [
        sources[starts],
        targets[starts],
        counts,
        positive,
        negative,
        mean,
        m2,
        np.sqrt(m2 / counts),
        larger / counts,
    ]
