"""The console that every command prints to. Texts from files, models and people cannot control the terminal.

An escape sequence in a file name, a label or a prompt could move the cursor, rename the window or hide lines.
Control characters other than the tab and the line end are therefore shown as pictures (␛ for escape).
"""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

_TAB, _LINE_END = 0x09, 0x0A

SHOWN = {
    **{code: chr(0x2400 + code) for code in range(0x20) if code not in (_TAB, _LINE_END)},
    0x7F: "␡",
    # Some terminals take these as escape sequences of one character.
    **{code: f"␛{chr(code - 0x40)}" for code in range(0x80, 0xA0)},
    # Marks that change the direction of what follows.
    **{code: f"‹{code:04X}›" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))},
}
"""Code of a control character → what is shown for it."""


def shown(text: str) -> str:
    """A text with its control characters made visible."""
    return text.translate(SHOWN)


class PlainConsole(Console):
    """A console that makes control characters in everything that it prints visible."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Give the segments of what is printed. Colours are added later, from the style of each segment."""
        for segment in super().render(renderable, options):
            if segment.control is None and not segment.text.isprintable():
                yield segment._replace(text=shown(segment.text))
            else:
                yield segment
