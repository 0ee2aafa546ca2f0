"""A report as one HTML page without other files, and its figures as files.

The template escapes everything that comes from outside (labels, prompts, results). Figures are images in the
page, so that text in them is never markup. The page's content security policy forbids scripts and requests.
"""

from base64 import b64encode
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from atlas.report.parts import Missing, Picture, Report
from atlas.tables import visible
from schema.atomic_file import atomic_write
from schema.errors import InputError

LONG = 20
"""A longer table is folded, unless it is the first part of its section."""


def html(report: Report) -> str:
    """The page as HTML. Raises what drawing the figures raises."""
    pages = Environment(
        loader=PackageLoader("atlas.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {"shown": visible, "data": _data}
    pages.tests |= {
        "picture": lambda part: isinstance(part, Picture),
        "missing": lambda part: isinstance(part, Missing),
        "numeric": _numeric,
    }
    return pages.get_template("report.html").render(report=report, long=LONG)


def write_figures(report: Report, folder: Path) -> int:
    """Write every figure as NAME.svg and NAME.png. Returns the number of figures.

    Raises InputError when the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for picture in report.pictures():
            for ending in ("svg", "png"):
                with atomic_write(folder / f"{picture.name}.{ending}") as part:
                    part.write_bytes(picture.draw(ending))
    except OSError as error:
        raise InputError(
            f"{folder} cannot be written: {error.strerror}", next_step="name a folder that you may write to"
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
