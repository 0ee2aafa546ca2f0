"""Sample answers: the comment in the header of each question that shows what its sample values give.

The first line names the columns, each further line is a row, whose values are shortened to be read by people:

    // Sample answer: total | rows
    //   14 | ["52fae534bf544daf8271", "0f7c5439903d76471e7c", … 12 more]
"""

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

START = "// Sample answer: "
ANSWER = re.compile(rf"^{START}(?P<columns>.*)\n(?://   .*\n)*", re.MULTILINE)
"""The whole comment."""
WIDTH = 118
ROWS = 3
ENTRIES = 2
LETTERS = 60


def columns_of(file: str) -> list[str]:
    """The columns that the sample answer in a question's file has; none when it has no sample answer."""
    found = ANSWER.search(file)
    return [] if found is None else found["columns"].split(" | ")


def with_answer(file: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """The file of a question with this sample answer in its header, instead of the one that it had."""
    plain = ANSWER.sub("", file)
    header = re.match(r"(?://.*\n)+", plain)
    if header is None:
        raise ValueError("the file of a question begins with the question, after //")
    return header[0] + answer(columns, rows) + plain[header.end() :]


def answer(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """The comment, with the first rows."""
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
        lines.append(f"//   … {len(rows) - ROWS} more rows")
    if not rows:
        lines.append("//   no rows")
    return "\n".join(lines) + "\n"


def short(value: Any) -> str:
    """A value as Cypher writes it: floats to three digits, the beginning of strings and lists."""
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
