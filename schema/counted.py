"""Counted nouns in texts for people."""


def counted(n: int, noun: str, plural: str | None = None) -> str:
    """A number and its noun: `1 circuit`, `2 circuits`, `0 circuits`.

    plural: the plural, unless it is the noun and an s. Both may go on with a verb or with other words that
    agree: `counted(n, "thing is", "things are")`.
    """
    return f"{n} {noun}" if n == 1 else f"{n} {plural or noun + 's'}"
