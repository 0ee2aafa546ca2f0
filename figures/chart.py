"""A figure as a value: its GraphQL question, and the function that draws the answer."""

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.figure import Figure

from schema.atomic_file import atomic_write
from schema.errors import InputError, NotFoundError

Answer = Mapping[str, Any]
"""The `data` of a GraphQL answer."""

STYLE: Any = {
    # Labels come from prompts and language models: a dollar in them is a dollar.
    "text.parse_math": False,
    # Text stays text: it can be searched and copied.
    "svg.fonttype": "none",
    # The same answer gives the same file.
    "svg.hashsalt": "atlas",
    "font.size": 9.0,
    "axes.titlesize": 10.0,
}

LETTER = 0.09
"""Inches that a letter of a label takes, at most."""

ENDINGS = ("svg", "png", "html")


@dataclass(frozen=True)
class Chart:
    """One figure."""

    name: str
    """What `atlas figure` calls it."""
    title: str
    """What it shows, in words."""
    query: str
    """GraphQL; every variable has a default."""
    draw: Callable[[Answer], Figure]
    """Raises NotFoundError, which says what to run first, when there is nothing to draw."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Name of each variable of the query → what it chooses."""

    def svg(self, answer: Answer) -> str:
        """The figure as an SVG element, without the XML declaration. Raises NotFoundError."""
        text = self._saved(answer, "svg").decode()
        return text[text.index("<svg") :]

    def png(self, answer: Answer) -> bytes:
        """The figure as a PNG, 150 dots per inch. Raises NotFoundError."""
        return self._saved(answer, "png")

    def html(self, answer: Answer) -> str:
        """A page of its own: the SVG, and the question that it answers. Raises NotFoundError."""
        title = escape(self.title)
        return (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
            f"<h1>{title}</h1>{self.svg(answer)}<pre>{escape(self.query.strip())}</pre></html>\n"
        )

    def write(self, answer: Answer, path: Path) -> None:
        """Save by the path's ending. Raises InputError for another ending or place, NotFoundError."""
        ending = path.suffix.removeprefix(".")
        if ending not in ENDINGS:
            raise InputError(f"{path} is no .svg, .png or .html", next_step="for example --out figure.svg")
        if ending == "png":
            made = self.png(answer)
        else:
            made = (self.svg(answer) if ending == "svg" else self.html(answer)).encode()
        try:
            with atomic_write(path) as part:
                part.write_bytes(made)
        except OSError as error:
            raise InputError(
                f"{path} cannot be written: {error.strerror}", next_step="give a path in a folder that exists"
            ) from error

    def _saved(self, answer: Answer, ending: str) -> bytes:
        stream = BytesIO()
        with styled():
            metadata = {"Date": None} if ending == "svg" else {"Software": None}
            self.draw(answer).savefig(stream, format=ending, dpi=150, metadata=metadata)
        return stream.getvalue()


@contextmanager
def styled() -> Iterator[None]:
    """Our style; letters that the font lacks are no reason to warn."""
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def shown(text: str | None, longest: int = 28) -> str:
    """A text as a label: on one line, without control characters, cut."""
    plain = re.sub(r"[^\S ]", "⏎", text or "?")
    plain = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in plain)
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"


def nothing(what: str, command: str) -> NotFoundError:
    """The error of a figure without content."""
    return NotFoundError(f"There is nothing to draw: {what}", next_step=f"run `{command}`")


def heatmap(
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[float]],
    *,
    unit: str,
    signed: bool = False,
    title: str = "",
) -> Figure:
    """A matrix as colours, with a scale.

    values: (n_rows, n_columns), NaN where nothing is known. signed: white is 0, red more, blue less.
    """
    below, left = (LETTER * max((len(shown(each)) for each in names), default=0) for names in (columns, rows))
    size = (2.2 + left + 0.34 * len(columns), 0.8 + below + max(1.5, 0.26 * len(rows)))
    figure = Figure(figsize=size, layout="constrained")
    axes: Axes = figure.add_subplot()
    grid = np.asarray(values, float).reshape(len(rows), len(columns))
    most = float(np.nanmax(np.abs(grid), initial=0.0)) or 1.0
    scale: Normalize = TwoSlopeNorm(0.0, -most, most) if signed else Normalize(0.0, most)
    image = axes.imshow(grid, aspect="auto", cmap="RdBu_r" if signed else "Blues", norm=scale)
    axes.set_xticks(range(len(columns)), [shown(each) for each in columns], rotation=90)
    axes.set_yticks(range(len(rows)), [shown(each) for each in rows])
    axes.set_title(shown(title, 70))
    figure.colorbar(image, ax=axes, label=unit)
    return figure
