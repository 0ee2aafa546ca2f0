"""Edits that name supernodes, or plant features, as plain edits of single features.

    ablate {texas}@all            every feature that a supernode of this label groups, in any circuit
    scale {texas}@all=2, set …    the same
    swap {texas}:{ohio}@all       the first's features get 0, the second's their mean activation
    plant {ohio}@9                the features get their mean activation
    plant 3/17@9=2                a feature gets twice its mean activation

The mean is over the places where circuits of the database have the feature active.
"""

import re
from collections.abc import Iterator, Sequence

from schema.database import Database
from schema.errors import InputError, NotFoundError
from schema.interventions import ACTIVATION_OF_FEATURES
from schema.question import ask
from schema.supernodes import MEMBERS_OF_LABEL

TIMEOUT_S = 60.0

_WHO = r"\{[^{}]+\}|\d+/\d+"
_EDIT = re.compile(rf"(\w+)\s+({_WHO})(?::({_WHO}))?@([^=]+)(?:=(.+))?")

Members = dict[str, float | None]
"""LAYER/INDEX of features → mean activation, None when nobody knows it."""


def needs_database(edit: str) -> bool:
    """Whether an edit says something that only the database knows."""
    return "{" in edit or edit.split()[:1] == ["plant"]


def plain_edits(database: Database, transcoders: str, edits: Sequence[str]) -> list[str]:
    """The edits with kind, as `ingest.interventions.parsed` reads them, in order.

    transcoders: id of the set. Raises NotFoundError for a label or feature that no circuit has, InputError.
    """
    return [each for edit in edits for each in _plain(database, transcoders, edit)]


def _plain(database: Database, transcoders: str, edit: str) -> Iterator[str]:
    if not needs_database(edit):
        yield edit
        return
    found = _EDIT.fullmatch(edit.strip())
    if found is None:
        raise InputError(f"{edit!r} cannot be read", next_step="write it like: ablate {LABEL}@all")
    kind, who, other, where, value = found.groups()
    if (kind == "swap") != (other is not None):
        raise InputError(f"{edit!r} cannot be read", next_step="write swaps, and only these, as {A}:{B}@all")
    members = _members(database, transcoders, who)
    if kind == "plant":
        factor = 1.0 if value is None else _number(edit, value)
        yield from _planted(members, where, factor, edit)
    elif kind == "swap":
        if not (who.startswith("{") and other.startswith("{")):
            raise InputError(
                f"{edit!r} swaps a supernode and a feature", next_step="name two supernodes, or two features"
            )
        planted = _members(database, transcoders, other)
        yield from (f"ablate {each}@{where}" for each in members if each not in planted)
        yield from _planted(planted, where, 1.0, edit)
    else:
        yield from (f"{kind} {each}@{where}" + (f"={value}" if value else "") for each in members)


def _planted(members: Members, where: str, factor: float, edit: str) -> Iterator[str]:
    for each, activation in members.items():
        if activation is None:
            raise InputError(
                f"{edit!r}: no circuit says how active {each} is", next_step="give the value: set 3/17@9=2.5"
            )
        yield f"set {each}@{where}={activation * factor!r}"


def _members(database: Database, transcoders: str, who: str) -> Members:
    if who.startswith("{"):
        rows: Sequence = ask(
            database, MEMBERS_OF_LABEL, timeout_s=TIMEOUT_S, label=who[1:-1], transcoders=transcoders
        )
        missing = "`supernodes` in GraphQL finds labels; `atlas supernodes` makes supernodes"
    else:
        rows = ask(database, ACTIVATION_OF_FEATURES, timeout_s=TIMEOUT_S, keys=[f"{transcoders}/{who}"])
        missing = "name a feature that some circuit has, or give its activation with set"
    if not rows:
        what = "supernode" if who.startswith("{") else "feature"
        raise NotFoundError(f"No circuit made with {transcoders} has the {what} {who}", next_step=missing)
    return {f"{row.layer}/{row.number}": row.activation for row in rows}


def _number(edit: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(
            f"{edit!r}: {text!r} is no number", next_step="write it like: plant {LABEL}@9=2"
        ) from error
