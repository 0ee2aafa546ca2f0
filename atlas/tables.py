"""A GraphQL answer as tables a person can read."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table


@dataclass
class Rows:
    """One list of an answer, flat."""

    title: str
    columns: list[str]
    rows: list[list[Any]]
    scalars: bool = field(default=False, compare=False)
    """Whether it is what an object says beside its lists."""


def tables(data: Mapping[str, Any]) -> list[Rows]:
    """One table for the scalars of each object and one for each list of objects, in the answer's order.

    Relay's `edges { node }` is folded away; nested objects become dotted columns; lists of scalars stay in
    one cell; a list of objects inside a row becomes one cell that joins their values.
    """
    result: list[Rows] = []
    for name, value in data.items():
        _collect(name, value, result)
    return result


def _collect(title: str, value: Any, result: list[Rows]) -> None:
    value = _fold(value)
    if isinstance(value, list):
        if any(isinstance(item, Mapping) for item in value):
            flat = [_flatten(item) if isinstance(item, Mapping) else {"value": item} for item in value]
            columns = [
                column
                for column in dict.fromkeys(column for row in flat for column in row)
                # An object that is null in some rows only leaves an empty column beside its own.
                if any(row.get(column) is not None for row in flat)
                or not any(other.startswith(f"{column}.") for row in flat for other in row)
            ]
            result.append(Rows(title, columns, [[row.get(column) for column in columns] for row in flat]))
        else:
            result.append(Rows(title, ["value"], [[item] for item in value]))
    elif isinstance(value, Mapping):
        scalars = _flatten(value, lists=False)
        if scalars:
            result.append(Rows(title, list(scalars), [list(scalars.values())], scalars=True))
        for key, item in value.items():
            folded = _fold(item)
            if isinstance(folded, list) and any(isinstance(part, Mapping) for part in folded):
                _collect(f"{title}.{key}", folded, result)
    else:
        result.append(Rows(title, ["value"], [[value]]))


def _fold(value: Any) -> Any:
    """A connection that is nothing but its edges, as the list of its nodes."""
    if isinstance(value, Mapping) and isinstance(value.get("edges"), list):
        rest = {key: item for key, item in value.items() if key not in ("edges", "pageInfo")}
        nodes = []
        for edge in value["edges"]:
            node = edge.get("node")
            extra = {key: item for key, item in edge.items() if key not in ("node", "cursor")}
            nodes.append({**node, **extra} if isinstance(node, Mapping) else (extra or node))
        return {**rest, "rows": nodes} if rest else nodes
    return value


def _flatten(value: Mapping[str, Any], prefix: str = "", *, lists: bool = True) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, item in value.items():
        item = _fold(item)
        name = f"{prefix}{key}"
        if isinstance(item, Mapping):
            flat |= _flatten(item, f"{name}.", lists=lists)
        elif isinstance(item, list) and any(isinstance(part, Mapping) for part in item):
            if lists:
                flat[name] = "; ".join(
                    " ".join(show(v) for v in _flatten(part).values() if v is not None)
                    if isinstance(part, Mapping)
                    else show(part)
                    for part in item
                )
        else:
            flat[name] = item
    return flat


def show(value: Any) -> str:
    """One value as text: floats to four significant digits, lists joined."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(show(item) for item in value)
    return str(value)


def write_csv(rows: Rows, file: TextIO) -> None:
    """One table as CSV (RFC 4180): numbers in full, null as nothing, lists as JSON."""
    writer = csv.writer(file)
    writer.writerow(rows.columns)
    for row in rows.rows:
        writer.writerow(
            json.dumps(each, ensure_ascii=False) if isinstance(each, list) else each for each in row
        )


WHOLE = 24
"""Ids of at most so many characters stay on one line however narrow the terminal, to be copied."""


def print_rows(console: Console, rows: Rows) -> None:
    """Print one table; numbers are aligned right."""
    table = Table(title=escape(rows.title) or None, title_justify="left", header_style="bold")
    for place, column in enumerate(rows.columns):
        numeric = all(isinstance(row[place], int | float | None) for row in rows.rows)
        size = max((len(show(row[place])) for row in rows.rows), default=0)
        whole = column.rpartition(".")[2] in ("id", "key") and size <= WHOLE
        table.add_column(
            escape(column),
            justify="right" if numeric else "left",
            overflow="fold",
            no_wrap=whole,
        )
    for row in rows.rows:
        table.add_row(*(escape(show(value)) for value in row))
    console.print(table)
