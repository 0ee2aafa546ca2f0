"""Tables of the docs that the code knows: limits of the API and what they bound, columns of its downloads,
and bounds of what is read and stored.

    python -m atlas.docs.reference_tables

Each table stands between two marks in a page and is written there again. The text around it is a person's.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from api.downloads.lists import DOWNLOADS
from api.request.limits import Limits
from ingest.circuits import prompts
from schema import plain_file
from schema.circuit import records
from schema.exports import layout
from schema.formats import features, files, labels, qk_tracing, raw
from schema.loading import leases, validate

DOCS = Path(__file__).parents[2] / "docs"


BOUNDED_REQUESTS = {
    "query texts that take long to validate": (
        "document",
        "tokens",
        "depth",
        "fields",
        "aliases",
        "pairs",
        "values",
    ),
    "heavy questions": (
        "database_ms",
        "running",
        "client_running",
        "heavy_running",
        "waiting",
        "client_requests",
        "client_at_once",
        "client_s",
    ),
    "answers of many objects": ("cost", "rows", "page_size", "timeout_s"),
    "unread downloads": ("downloads", "client_downloads", "download_s", "write_s"),
    "subscriptions": ("sockets", "client_sockets", "subscriptions", "client_subscriptions"),
    "jobs and tags": (
        "open_prompts",
        "author_open_prompts",
        "ended_prompts",
        "prompt_tags",
        "list_length",
        "text_length",
    ),
    "silent and many connections": ("connections", "client_connections", "read_s", "body"),
}
"""What clients can do too much of, and the limits that bound it."""


class ReferenceTable(NamedTuple):
    """One generated table of a page."""

    page: Path
    """The page, which exists."""
    name: str
    """Name in the two marks: `<!-- NAME: begin -->` and `<!-- NAME: end -->`."""
    lines: list[str]
    """The table in Markdown."""


def limits() -> list[str]:
    """One row for each field of `Limits`: its name, its default and its docstring."""
    texts = dict(_field_docstrings(Limits))
    rows = [f"| `{each.name}` | {_shown(each.default)} | {texts[each.name]} |" for each in fields(Limits)]
    return ["| limit | default | what is limited |", "|---|--:|---|", *rows]


BOUNDS = (
    (files, "SIZE_LIMIT"),
    (plain_file, "UNPACKED_LEAST"),
    (plain_file, "UNPACKED_RATIO"),
    (raw, "LISTS_LEAST"),
    (raw, "BYTES_OF_LIST"),
    (raw, "ITEMS_LEAST"),
    (raw, "BYTES_OF_ITEM"),
    (raw, "FREE_LIMIT"),
    (qk_tracing, "RAW_LIMIT"),
    (layout, "ITEMS_LIMIT"),
    (layout, "CELLS"),
    (raw, "TEXT_LIMIT"),
    (features, "RECORD_LEAST"),
    (features, "RECORD_LIMIT"),
    (labels, "LINE_LIMIT"),
    (labels, "SMALL_LIMIT"),
    (labels, "TEXT_LIMIT"),
    (prompts, "PIPE_LIMIT"),
    (validate, "KEY_LIMIT"),
    (records, "FLOAT32_MAX"),
    (leases, "LEASE_S"),
)
"""Module and name of each constant that bounds what is read or stored."""


def bounds() -> list[str]:
    """One row for each constant of `BOUNDS`: its name, its value and its docstring."""
    rows = [
        f"| `{module.__name__}.{name}` | {_shown(getattr(module, name))} | {_constant_text(module, name)} |"
        for module, name in BOUNDS
    ]
    return ["| constant | value | what it bounds |", "|---|--:|---|", *rows]


def bounds_of_requests() -> list[str]:
    """One row for each thing that clients can do too much of: the limits that bound it, with their
    defaults."""
    defaults = {each.name: _shown(each.default) for each in fields(Limits)}
    rows = [
        f"| {what} | {', '.join(f'`{name}` {defaults[name]}' for name in names)} |"
        for what, names in BOUNDED_REQUESTS.items()
    ]
    return ["| too much of | is bounded by |", "|---|---|", *rows]


def columns() -> list[str]:
    """One row for each question that can be downloaded: its path and its columns, in their order."""
    rows = [f"| `{path}` | {', '.join(each.schema.names)} |" for path, each in DOWNLOADS.items()]
    return ["| question | columns |", "|---|---|", *rows]


def tables() -> list[ReferenceTable]:
    """Every generated table, computed now."""
    return [
        ReferenceTable(DOCS / "graphql" / "serving.md", "limits", limits()),
        ReferenceTable(DOCS / "safety.md", "requests", bounds_of_requests()),
        ReferenceTable(DOCS / "downloads.md", "columns", columns()),
        ReferenceTable(DOCS / "safety.md", "bounds", bounds()),
    ]


def written(table: ReferenceTable, text: str) -> str:
    """The text of a page with the table in its place. Raises ValueError when the marks are not there."""
    begin, end = f"<!-- {table.name}: begin -->", f"<!-- {table.name}: end -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise ValueError(f"{table.page} needs the lines {begin} and {end}, once")
    body = "\n".join([begin, "<!-- `make docs` writes this table. -->", "", *table.lines, "", end])
    return pattern.sub(lambda _: body, text)


def _field_docstrings(kind: type) -> Iterator[tuple[str, str]]:
    """Name and docstring of each field of a class, as they stand in its source."""
    (found,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(found, ast.ClassDef)
    for name, text in zip(found.body, found.body[1:], strict=False):
        if isinstance(name, ast.AnnAssign) and isinstance(text, ast.Expr):
            assert isinstance(name.target, ast.Name)
            assert isinstance(text.value, ast.Constant)
            yield name.target.id, " ".join(inspect.cleandoc(str(text.value.value)).split())


def _constant_text(module: ModuleType, name: str) -> str:
    """The docstring of a constant, as it stands in the source of its module."""
    body = ast.parse(inspect.getsource(module)).body
    for one, text in pairwise(body):
        if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == name:
            assert isinstance(text, ast.Expr)
            assert isinstance(text.value, ast.Constant)
            return " ".join(inspect.cleandoc(str(text.value.value)).split())
    raise ValueError(f"{module.__name__} declares no {name}")


def _shown(value: object) -> str:
    """A default as a reader takes it in: `20 000` for 20000."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,.10g}".replace(",", " ")
    return f"{value}"


def main() -> None:
    """Write every table again."""
    for table in tables():
        old = table.page.read_text(encoding="utf-8")
        table.page.write_text(written(table, old), encoding="utf-8")


if __name__ == "__main__":
    main()
