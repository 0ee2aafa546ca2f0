"""Sample answers: the comment in the header of each Cypher file that shows the answer for its sample values.

The first line names the columns. Each further line is a row, whose values are shortened for readers:

    // Sample answer: total | rows
    //   14 | ["52fae534bf544daf8271", "0f7c5439903d76471e7c", … 12 more]
"""

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from schema.counted import counted

START = "// Sample answer: "
ANSWER = re.compile(rf"^{START}(?P<columns>.*)\n(?://   .*\n)*", re.MULTILINE)
"""Matches the whole comment."""
WIDTH = 118
ROWS = 3
ENTRIES = 2
LETTERS = 60


def columns_of(file: str) -> list[str]:
    """The columns of the sample answer in a file; empty when the file has no sample answer."""
    found = ANSWER.search(file)
    return [] if found is None else found["columns"].split(" | ")


def with_answer(file: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """The text of a file with this sample answer in its header, in place of an earlier one."""
    plain = ANSWER.sub("", file)
    header = re.match(r"(?://.*\n)+", plain)
    if header is None:
        raise ValueError("The file must begin with a comment that holds the question: // Which …?")
    return header[0] + answer(columns, rows) + plain[header.end() :]


def answer(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """The comment with the first rows of an answer."""
    lines = [START + " | ".join(columns)]
    for row in rows[:ROWS]:
        text = " | ".join(short(row[column]) for column in columns)
        lines += textwrap.wrap(
            text,
            WIDTH,
            initial_indent="//   ",
            subsequent_indent="//     ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    if len(rows) > ROWS:
        lines.append(f"//   … {counted(len(rows) - ROWS, 'more row')}")
    if not rows:
        lines.append("//   no rows")
    return "\n".join(lines) + "\n"


def short(value: Any) -> str:
    """A value in Cypher's notation, with three digits of a float and the beginning of a string or list."""
    match value:
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
        case float():
            return f"{value:.3g}"
        case str():
            line = " ".join(value.split())
            return f'"{line if len(line) <= LETTERS else line[: LETTERS - 1] + "…"}"'
        case list():
            shown = [short(each) for each in value[:ENTRIES]]
            more = len(value) - len(shown)
            return f"[{', '.join([*shown, f'… {more} more'] if more else shown)}]"
        case dict():
            return f"{{{', '.join(f'{name}: {short(each)}' for name, each in value.items())}}}"
    return str(value)
