"""The grammar of edits: `ablate 3/17@5`, `set {texas}@all=2`, `swap {texas}:{ohio}@last`.

An edit is written KIND FEATURES@POSITIONS, with =NUMBER behind it for the kinds that take a number:

    set      3/17@5=2.5           the activation becomes 2.5
    scale    3/17@5=2             the activation is doubled
    ablate   3/17@5               the activation becomes 0
    swap     3/17:4/22@5          each of the two features gets the activation of the other
    swap     {texas}:{ohio}@all   the first supernode is set to 0, the second one is planted
    plant    {texas}@9            the features get their mean activation in the database
    plant    3/17@9=2             the feature gets twice its mean activation

FEATURES is LAYER/INDEX, or {LABEL}, {LABEL|METHOD} or {LABEL|METHOD|AUTHOR} for the features of a supernode.
POSITIONS is one position (5), several (2,5), a range with both ends included (2-5), all positions from one on
(2-), `last` (of the prompt), `all`, or `new` (the tokens that are generated).

This module reads the text only. `ingest.evidence.named_edits` looks supernodes and mean activations up in the
database, and `ingest.evidence.interventions` turns edits of features into edits of the engine.
"""

import re
from enum import StrEnum
from typing import NamedTuple

from schema.circuit.records import FLOAT32_MAX
from schema.errors import InputError


class EditKind(StrEnum):
    """What an edit does to the activation of a feature."""

    SET = "set"
    SCALE = "scale"
    ABLATE = "ablate"
    SWAP = "swap"
    PLANT = "plant"


class FeatureName(NamedTuple):
    """One feature, written LAYER/INDEX."""

    layer: int
    number: int
    """Index of the feature in the dictionary of its layer."""

    def __str__(self) -> str:
        return f"{self.layer}/{self.number}"


class SupernodeName(NamedTuple):
    """The features of supernodes, written {LABEL}, {LABEL|METHOD} or {LABEL|METHOD|AUTHOR}."""

    text: str
    """The text between the braces."""

    def __str__(self) -> str:
        return f"{{{self.text}}}"


class PositionWord(StrEnum):
    """Positions that have a name."""

    ALL = "all"
    """Every position but a special first token."""
    LAST = "last"
    """The last position of the prompt."""
    NEW = "new"
    """The tokens that are generated."""


class PositionList(NamedTuple):
    """One position or several, written 5 or 2,5."""

    places: tuple[int, ...]
    """Counted from 0."""

    def __str__(self) -> str:
        return ",".join(map(str, self.places))


class PositionRange(NamedTuple):
    """Neighbouring positions, written 2-5 or 2-."""

    first: int
    """Counted from 0."""
    last: int | None
    """Included; None for all positions from `first` on, generated tokens included."""

    def __str__(self) -> str:
        return f"{self.first}-{'' if self.last is None else self.last}"


EditedFeatures = FeatureName | SupernodeName
EditedPositions = PositionWord | PositionList | PositionRange


class WrittenEdit(NamedTuple):
    """An edit as a person writes it. `str()` gives the text back, with numbers in their shortest form."""

    kind: EditKind
    features: EditedFeatures
    other: EditedFeatures | None
    """The second side of a swap; None for all other kinds."""
    positions: EditedPositions
    number: float | None
    """The activation of `set`, the factor of `scale` and `plant`; None for `ablate`, `swap`, and a `plant`
    that gives no factor. Always finite."""

    def __str__(self) -> str:
        other = "" if self.other is None else f":{self.other}"
        number = "" if self.number is None else f"={_shortest(self.number)}"
        return f"{self.kind} {self.features}{other}@{self.positions}{number}"


EXAMPLES = {
    EditKind.SET: "set 3/17@5=2.5",
    EditKind.SCALE: "scale 3/17@5=2",
    EditKind.ABLATE: "ablate 3/17@5",
    EditKind.SWAP: "swap {texas}:{ohio}@all",
    EditKind.PLANT: "plant {texas}@9",
}
"""One edit of each kind."""

_FEATURES = r"\{[^{}]+\}|[0-9]{1,9}/[0-9]{1,9}"
_EDIT = re.compile(rf"(\w+)\s+({_FEATURES})(?::({_FEATURES}))?@([^=]+)(?:=(.+))?")
"""Kind, features, the other side of a swap, positions, number."""
# Six digits: the engine lists the positions of a range, so a range must not be endless.
_LIST = re.compile(r"[0-9]{1,6}(?:,[0-9]{1,6})*")
_RANGE = re.compile(r"([0-9]{1,6})-([0-9]{1,6})?")
_TAKES_NUMBER = {EditKind.SET: True, EditKind.SCALE: True, EditKind.ABLATE: False, EditKind.SWAP: False}
"""Whether a kind needs a number or refuses one; kinds that are not listed take one or none."""


def parse_edit(text: str, *, generating: bool = False) -> WrittenEdit:
    """Read one edit.

    generating: whether tokens are generated, so that `new` means something. Raises InputError for a text that
    is no edit, whatever the database and the model hold; the error shows how to write it.
    """
    name = text.split()[0] if text.strip() else ""
    if name not in EXAMPLES:
        raise InputError(f"{text!r} is no edit", next_step=f"begin with one of {', '.join(EXAMPLES)}")
    kind = EditKind(name)
    example = f"write it like: {EXAMPLES[kind]}"
    found = _EDIT.fullmatch(text.strip())
    if found is None:
        raise InputError(f"{text!r} cannot be read", next_step=example)
    _, features, other, positions, number = found.groups()
    takes_number = _TAKES_NUMBER.get(kind, number is not None)
    if (other is not None) != (kind is EditKind.SWAP) or (number is not None) != takes_number:
        raise InputError(f"{text!r} cannot be read", next_step=example)
    if other is not None and other.startswith("{") != features.startswith("{"):
        raise InputError(
            f"{text!r} swaps a supernode and a feature", next_step="name two supernodes, or two features"
        )
    return WrittenEdit(
        kind,
        _features(features),
        None if other is None else _features(other),
        _positions(text, positions, generating=generating),
        None if number is None else _number(text, number, example),
    )


def _features(text: str) -> EditedFeatures:
    if text.startswith("{"):
        return SupernodeName(text[1:-1])
    layer, _, index = text.partition("/")
    return FeatureName(int(layer), int(index))


def _positions(text: str, positions: str, *, generating: bool) -> EditedPositions:
    words = "2,5, 2-5, 2-, last, all" + (" or new" if generating else "")
    if positions in set(PositionWord):
        if positions == PositionWord.NEW and not generating:
            raise InputError(
                f"{text!r}: there are no new tokens", next_step="generate some with --generate, or write all"
            )
        return PositionWord(positions)
    if _LIST.fullmatch(positions):
        return PositionList(tuple(map(int, positions.split(","))))
    found = _RANGE.fullmatch(positions)
    if found is None:
        raise InputError(f"{text!r}: {positions!r} is no position", next_step=f"write 5, {words} after the @")
    first, last = int(found[1]), int(found[2]) if found[2] else None
    if last is not None and last < first:
        raise InputError(
            f"{text!r}: the range {positions} runs backwards", next_step=f"write {last}-{first} after the @"
        )
    return PositionRange(first, last)


def _number(text: str, number: str, example: str) -> float:
    try:
        value = float(number)
    except ValueError as error:
        raise InputError(f"{text!r}: {number!r} is no number", next_step=example) from error
    # NaN is not within the bound either.
    if not -FLOAT32_MAX <= value <= FLOAT32_MAX:
        raise InputError(f"{text!r}: {number!r} is no finite 32-bit number", next_step=example)
    return value


def _shortest(number: float) -> str:
    """The shortest text that `float` reads as this number."""
    text = repr(number)
    return text.removesuffix(".0")
