"""GraphQL answers as tables, printed in a terminal or written as CSV."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from schema.circuit.token_display import displayed
from schema.exports.csv_lines import csv_line


@dataclass
class Rows:
    """A table: one list of an answer, with nested objects flattened."""

    title: str
    """Path of the list in the answer, such as `circuit.edges`; may be empty."""
    columns: list[str]
    rows: list[list[Any]]
    scalars: bool = field(default=False, compare=False)
    """Whether the table has one row with the fields of an object that are not lists."""


def tables(data: Mapping[str, Any]) -> list[Rows]:
    """The tables of an answer, in its order: one for the scalars of each object, one for each list of
    objects.

    `edges { node }` becomes a list of nodes, and nested objects become dotted columns. A list of scalars
    stays in one cell. A list of objects inside a row becomes one cell that joins their values.
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
                # An object that is null in some rows would leave an empty column.
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
    """A connection as a list of nodes, or as an object with the list `rows` when it has more fields."""
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
    """One value as text. Floats have four significant digits; lists are joined with commas."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(show(item) for item in value)
    return str(value)


def visible(value: Any) -> str:
    """`show` for people: spaces at the ends of texts, tabs and line ends can be seen."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(visible(item) for item in value)
    return displayed(value) if isinstance(value, str) else show(value)


def short(*numbers: float | None) -> list[float | None]:
    """The numbers rounded to three decimals, so that tables fit a terminal. None stays None."""
    # Adding 0 turns -0 into 0.
    return [None if number is None else round(number, 3) + 0.0 for number in numbers]


def write_csv(rows: Rows, file: TextIO) -> None:
    """Write one table as CSV (RFC 4180): numbers in full, null as nothing, lists as JSON."""
    file.write(csv_line(rows.columns))
    for row in rows.rows:
        file.write(
            csv_line(json.dumps(each, ensure_ascii=False) if isinstance(each, list) else each for each in row)
        )


ID = re.compile(r"[0-9a-f]{16,24}")
MIN_TEXT_WIDTH = 12
"""Smallest width of a column of text, in characters. Numbers and ids are never broken."""
MIN_HEADING_WIDTH = 9
"""Smallest width for a word of a column's name, in characters."""
MAX_WORD_WIDTH = 40
"""Length of the longest word that is not broken, in characters."""


def print_rows(console: Console, rows: Rows) -> None:
    """Print one table. Numbers are aligned right."""
    table = Table(title=escape(rows.title) or None, title_justify="left", header_style="bold")
    cells = [[visible(value) for value in row] for row in rows.rows]
    numeric = [
        all(isinstance(row[place], int | float | None) for row in rows.rows)
        for place in range(len(rows.columns))
    ]
    widths = _widths(rows.columns, cells, numeric, console.width)
    for name, number, width in zip(rows.columns, numeric, widths, strict=True):
        table.add_column(escape(name), justify="right" if number else "left", overflow="fold", width=width)
    for row in cells:
        table.add_row(*map(escape, row))
    console.print(table)


def _widths(
    columns: Sequence[str], cells: Sequence[Sequence[str]], numeric: Sequence[bool], most: int
) -> list[int | None]:
    """Width of each column in characters, for a terminal of `most` characters.

    Ids and numbers get their full width first, then words, then words of the column names; what remains is
    shared. A width is None when there are too many columns for the terminal.
    """
    wanted, names, words, least = [], [], [], []
    for place, name in enumerate(columns):
        column = [row[place] for row in cells]
        longest = max((1, *map(len, column)))
        whole = numeric[place] or all(map(ID.fullmatch, column))
        word = max((1, *(len(word) for each in column for word in each.split())))
        wanted.append(max(longest, len(name)))
        least.append(longest if whole else min(MIN_TEXT_WIDTH, longest))
        words.append(longest if whole else max(least[-1], min(word, MAX_WORD_WIDTH)))
        names.append(max(words[-1], *(min(len(part), MAX_WORD_WIDTH) for part in name.split() or [""])))
    heads = [max((min(len(part), MIN_HEADING_WIDTH) for part in name.split()), default=1) for name in columns]
    for widths in (
        [max(each) for each in zip(words, heads, strict=True)],
        [max(each) for each in zip(least, heads, strict=True)],
        words,
        least,
    ):
        room = most - sum(widths) - 3 * len(columns) - 1
        if room < 0:
            continue
        # Column names come first, beginning with those that need the fewest characters.
        for place in sorted(range(len(columns)), key=lambda at: names[at] - widths[at]):
            lacks = max(0, names[place] - widths[place])
            if lacks <= room:
                widths[place] += lacks
                room -= lacks
        more = [max(0, best - width) for best, width in zip(wanted, widths, strict=True)]
        share = min(1.0, room / max(1, sum(more)))
        return [width + int(extra * share) for width, extra in zip(widths, more, strict=True)]
    return [None] * len(columns)
