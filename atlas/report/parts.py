"""Parts of a report: sections with text, tables, pictures, and notes about missing data."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from atlas.tables import Rows

if TYPE_CHECKING:
    from figures.chart import Chart


class Picture(NamedTuple):
    """A figure that is drawn on demand."""

    name: str
    """Name of its files, without the ending."""
    shows: str
    """Description of the figure in words, for screen readers."""
    draw: Callable[[str], bytes]
    """Its bytes as `svg` or `png`."""


class Missing(NamedTuple):
    """A note in place of a part whose data is missing."""

    what: str
    """What is missing, as a sentence without a full stop."""
    next_step: str | None
    """The command that makes the missing data. None: unknown."""


class PageLink(str):
    """The text of a cell that links to a page."""

    href: str

    @classmethod
    def to(cls, href: str | None, text: str) -> str:
        """The text, with the link if there is one."""
        if href is None:
            return text
        link = cls(text)
        link.href = href
        return link


Part = Picture | Rows | Missing


@dataclass(frozen=True)
class Section:
    """A section of the page."""

    name: str
    """Anchor of the section."""
    title: str
    text: str
    """One or two sentences on what is shown and how it was measured."""
    parts: Sequence[Part] = field(default_factory=tuple)


@dataclass(frozen=True)
class Report:
    """The content of the page."""

    title: str
    made_at: str
    """Time of writing, ISO 8601."""
    sources: Sequence[str]
    """Where the data comes from; one line per source."""
    sections: Sequence[Section]

    def pictures(self) -> list[Picture]:
        """Every figure, in the order of the page."""
        return [part for section in self.sections for part in section.parts if isinstance(part, Picture)]


def chart_picture(chart: "Chart", answer: dict[str, Any], svg: str, name: str) -> Picture:
    """A figure of `atlas figure` as a part. svg: the figure, which was drawn already."""

    def draw(ending: str) -> bytes:
        return svg.encode() if ending == "svg" else chart.png(answer)

    return Picture(name, chart.title, draw)
