"""What a report is made of: sections of text, tables and pictures, and what is missing and how to get it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from atlas.tables import Rows

if TYPE_CHECKING:
    from figures.chart import Chart


class Picture(NamedTuple):
    """One figure, drawn when it is asked for."""

    name: str
    """Of its files, without ending."""
    shows: str
    """In words, for those who cannot see it."""
    draw: Callable[[str], bytes]
    """Its bytes as `svg` or `png`."""


class Missing(NamedTuple):
    """A part that cannot be shown."""

    what: str
    next_step: str | None
    """What makes it."""


Part = Picture | Rows | Missing


@dataclass(frozen=True)
class Section:
    """One chapter."""

    name: str
    """Its anchor."""
    title: str
    text: str
    """One or two sentences: what is shown, and how it was measured."""
    parts: Sequence[Part] = field(default_factory=tuple)


@dataclass(frozen=True)
class Report:
    """The whole page."""

    title: str
    made_at: str
    """ISO 8601."""
    sources: Sequence[str]
    """Where its figures come from, a line each."""
    sections: Sequence[Section]

    def pictures(self) -> list[Picture]:
        """Every figure, in order."""
        return [part for section in self.sections for part in section.parts if isinstance(part, Picture)]


def chart_picture(chart: "Chart", answer: dict[str, Any], svg: str, name: str) -> Picture:
    """A figure of `atlas figure`, drawn once already as `svg`."""

    def draw(ending: str) -> bytes:
        return svg.encode() if ending == "svg" else chart.png(answer)

    return Picture(name, chart.title, draw)
