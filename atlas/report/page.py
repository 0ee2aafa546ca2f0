"""A report as one HTML page that needs nothing else, and its figures as files.

Everything that comes from outside (labels, prompts, results) is escaped by the template; figures are
images in the page, so that no text in them is ever markup, and the page's own policy forbids scripts and
every request.
"""

from base64 import b64encode
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from atlas.report.parts import Missing, Picture, Report
from atlas.tables import show
from schema.atomic_file import atomic_write
from schema.errors import InputError

LONG = 20
"""Rows from which on a table that is not a section's first part is folded."""


def html(report: Report) -> str:
    """The whole page. Raises what drawing raises."""
    pages = Environment(
        loader=PackageLoader("atlas.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {"shown": show, "data": _data}
    pages.tests |= {
        "picture": lambda part: isinstance(part, Picture),
        "missing": lambda part: isinstance(part, Missing),
        "numeric": _numeric,
    }
    return pages.get_template("report.html").render(report=report, long=LONG)


def write_figures(report: Report, folder: Path) -> int:
    """Every figure as NAME.svg and NAME.png; how many figures. Raises InputError for a bad folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for picture in report.pictures():
            for ending in ("svg", "png"):
                with atomic_write(folder / f"{picture.name}.{ending}") as part:
                    part.write_bytes(picture.draw(ending))
    except OSError as error:
        raise InputError(
            f"{folder} cannot be written: {error.strerror}", next_step="name a folder of yours"
        ) from error
    return len(report.pictures())


def _data(picture: Picture) -> str:
    return "data:image/svg+xml;base64," + b64encode(picture.draw("svg")).decode()


def _numeric(cell: Any) -> bool:
    if isinstance(cell, str):
        return bool(cell) and cell.replace(".", "", 1).replace("-", "", 1).isascii() and _is_number(cell)
    return isinstance(cell, (int, float)) and not isinstance(cell, bool)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
