"""The type of a figure: a GraphQL question and the function that draws its answer."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from schema.circuit.token_display import displayed
from schema.errors import InputError, NotFoundError

Answer = Mapping[str, Any]
"""The `data` of a GraphQL answer."""

STYLE: Any = {
    # Labels come from prompts and language models, so a dollar sign is text and not mathematics.
    "text.parse_math": False,
    # Text stays text in the SVG, so that it can be searched and copied.
    "svg.fonttype": "none",
    # A fixed salt makes the file of an answer reproducible.
    "svg.hashsalt": "atlas",
    "font.size": 9.0,
    "axes.titlesize": 10.0,
}

LETTER = 0.09
"""The largest width of a letter in a label, in inches."""

ENDINGS = ("svg", "png", "html")


@dataclass(frozen=True)
class Chart:
    """One figure."""

    name: str
    """Name of the figure in `atlas figure`."""
    title: str
    """What the figure shows, as a phrase."""
    query: str
    """The GraphQL query. Every variable has a default."""
    draw: Callable[[Answer], Figure]
    """Draws the answer. If it has no content, raises NotFoundError, which names the command to run first."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Name of each variable of the query → what it selects."""

    def require_known(self, names: Iterable[str]) -> None:
        """Raises InputError when the question has no variable of one of these names."""
        for unknown in sorted(set(names) - set(self.variables)):
            raise InputError(
                f"The figure {self.name} has no variable {unknown[:80]!r}",
                next_step=f"it has: {', '.join(self.variables) or 'none'}",
            )

    def svg(self, answer: Answer) -> str:
        """The figure as an SVG element, without the XML declaration.

        Raises NotFoundError when there is nothing to draw.
        """
        text = self._saved(answer, "svg").decode()
        return text[text.index("<svg") :]

    def png(self, answer: Answer) -> bytes:
        """The figure as a PNG of 150 dots per inch. Raises NotFoundError when there is nothing to draw."""
        return self._saved(answer, "png")

    def html(self, answer: Answer) -> str:
        """An HTML page with the SVG and the GraphQL question that it answers.

        Raises NotFoundError when there is nothing to draw.
        """
        title = escape(self.title)
        return (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
            f"<h1>{title}</h1>{self.svg(answer)}<pre>{escape(self.query.strip())}</pre></html>\n"
        )

    def write(self, answer: Answer, path: Path) -> None:
        """Save the figure in the format of the path's ending: .svg, .png or .html.

        Raises InputError for another ending or a path that cannot be written, and NotFoundError when there is
        nothing to draw.
        """
        ending = path.suffix.removeprefix(".")
        if ending not in ENDINGS:
            raise InputError(
                f"{path} is not a .svg, .png or .html file", next_step="for example --out figure.svg"
            )
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
    """Apply the style of the figures within the `with` block, without warnings about missing glyphs."""
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def shown(text: str | None, longest: int = 28) -> str:
    """A text as a label: on one line, with spaces at its ends visible, cut after `longest` characters."""
    plain = displayed(text or "?")
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"


def nothing(what: str, command: str) -> NotFoundError:
    """The error of a figure without content: what is missing, and the command that provides it."""
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
    """A matrix drawn as colours, with a colour scale.

    values: (n_rows, n_columns), NaN where the value is unknown. unit: label of the scale. signed: whether
    values may be negative; then 0 is white, positive values are red and negative values are blue.
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
