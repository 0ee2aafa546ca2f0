"""Texts as people see them in tables: spaces at the ends, tabs and line ends are visible."""

SHOWN = {"\t": "⇥", "\n": "↵", "\r": "␍"}
"""What stands for each of these characters."""
SPACE = "␣"
"""What stands for a space at an end of a text."""


def displayed(text: str) -> str:
    """A text in which spaces at its ends, tabs, line ends and other invisible characters can be seen."""
    if text.isprintable() and text[:1] != " " and text[-1:] != " ":
        return text
    inner = text.strip(" ")
    start = len(text) - len(text.lstrip(" "))
    shown = "".join(SHOWN.get(each) or (each if each.isprintable() else ascii(each)[1:-1]) for each in inner)
    return SPACE * start + shown + SPACE * (len(text) - start - len(inner))
