"""A GraphQL answer as tables a person can read."""

import csv
import json
import re
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


def short(*numbers: float | None) -> list[float | None]:
    """Numbers to three decimals, for tables that fit a terminal; None stays."""
    # Adding 0 makes 0 of -0.
    return [None if number is None else round(number, 3) + 0.0 for number in numbers]


def write_csv(rows: Rows, file: TextIO) -> None:
    """One table as CSV (RFC 4180): numbers in full, null as nothing, lists as JSON."""
    writer = csv.writer(file)
    writer.writerow(rows.columns)
    for row in rows.rows:
        writer.writerow(
            json.dumps(each, ensure_ascii=False) if isinstance(each, list) else each for each in row
        )


ID = re.compile(r"[0-9a-f]{16,24}")
WORD = 12
"""Characters that a line of text has at least, where the terminal allows it; numbers and ids stay whole."""
HEADING = 9
"""Characters that a word of a column's name has at least, where the terminal allows it."""
LONGEST = 40
"""Characters of the longest word that stays whole, where the terminal allows it."""


def print_rows(console: Console, rows: Rows) -> None:
    """Print one table; numbers are aligned right."""
    table = Table(title=escape(rows.title) or None, title_justify="left", header_style="bold")
    cells = [[show(value) for value in row] for row in rows.rows]
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
    """Characters of each column: ids and numbers whole, then words, then those of names, then the rest.

    None where there are too many.
    """
    wanted, names, words, least = [], [], [], []
    for place, name in enumerate(columns):
        column = [row[place] for row in cells]
        longest = max((1, *map(len, column)))
        whole = numeric[place] or all(map(ID.fullmatch, column))
        word = max((1, *(len(word) for each in column for word in each.split())))
        wanted.append(max(longest, len(name)))
        least.append(longest if whole else min(WORD, longest))
        words.append(longest if whole else max(least[-1], min(word, LONGEST)))
        names.append(max(words[-1], *(min(len(part), LONGEST) for part in name.split() or [""])))
    heads = [max((min(len(part), HEADING) for part in name.split()), default=1) for name in columns]
    for widths in (
        [max(each) for each in zip(words, heads, strict=True)],
        [max(each) for each in zip(least, heads, strict=True)],
        words,
        least,
    ):
        room = most - sum(widths) - 3 * len(columns) - 1
        if room < 0:
            continue
        # Names first, those that lack least before others.
        for place in sorted(range(len(columns)), key=lambda at: names[at] - widths[at]):
            lacks = max(0, names[place] - widths[place])
            if lacks <= room:
                widths[place] += lacks
                room -= lacks
        more = [max(0, best - width) for best, width in zip(wanted, widths, strict=True)]
        share = min(1.0, room / max(1, sum(more)))
        return [width + int(extra * share) for width, extra in zip(widths, more, strict=True)]
    return [None] * len(columns)
