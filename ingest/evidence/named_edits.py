"""Edits that name supernodes, or plant features, as plain edits of single features.

    ablate {texas}@all            every feature that a supernode of this label groups, in any circuit
    scale {texas}@all=2, set …    the same
    swap {texas}:{ohio}@all       the first's features get 0, the second's their mean activation
    plant {ohio}@9                the features get their mean activation
    plant 3/17@9=2                a feature gets twice its mean activation
    ablate {texas|person}@all     those of one way of grouping: a method, and its author after another |

The mean is over the places where circuits of the database have the feature active. A label alone is taken of
one way of grouping too: the scored one that has it in most circuits, else the one without scores.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from schema.annotations.supernodes import MEMBERS_OF_LABEL, LabelRow
from schema.circuit.edit_grammar import EDIT
from schema.database import Database
from schema.errors import InputError, NotFoundError
from schema.evidence.interventions import ACTIVATION_OF_FEATURES
from schema.questions.question import ask

TIMEOUT_S = 60.0

_LABEL = re.compile(r"\{([^{}]+)\}")

Members = dict[str, float | None]
"""LAYER/INDEX of features → mean activation, None when nobody knows it."""


def needs_database(edit: str) -> bool:
    """Whether an edit says something that only the database knows."""
    return "{" in edit or edit.split()[:1] == ["plant"]


def grouped_edits(database: Database, transcoders: str, edits: Sequence[str]) -> list[str]:
    """The edits as they were given, but each {LABEL} says of which way of grouping it is: {LABEL|METHOD}.

    Raises as `plain_edits`, but reads the supernodes only.
    """
    return [
        _LABEL.sub(lambda found: _supernode(database, transcoders, found[1]).name, edit) for edit in edits
    ]


def plain_edits(database: Database, transcoders: str, edits: Sequence[str]) -> list[str]:
    """The edits with kind, as `ingest.evidence.interventions.parsed` reads them, in order.

    transcoders: id of the set. Raises NotFoundError for a label or feature that no circuit has, InputError.
    """
    return [each for edit in edits for each in _plain(database, transcoders, edit)]


def _plain(database: Database, transcoders: str, edit: str) -> Iterator[str]:
    if not needs_database(edit):
        yield edit
        return
    found = EDIT.fullmatch(edit.strip())
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
        rows = _supernode(database, transcoders, who[1:-1]).row.members
        return {f"{row.layer}/{row.number}": row.activation for row in rows}
    found = ask(database, ACTIVATION_OF_FEATURES, timeout_s=TIMEOUT_S, keys=[f"{transcoders}/{who}"])
    if not found:
        raise NotFoundError(
            f"No circuit made with {transcoders} has the feature {who}",
            next_step="name a feature that some circuit has, or give its activation with set",
        )
    return {f"{row.layer}/{row.number}": row.activation for row in found}


class _Supernode(NamedTuple):
    """What a name in braces stands for."""

    name: str
    """With braces and the way of grouping."""
    row: LabelRow


def _supernode(database: Database, transcoders: str, text: str) -> _Supernode:
    """text: LABEL, LABEL|METHOD or LABEL|METHOD|AUTHOR; a label may have a | too.

    Raises NotFoundError, and InputError when the name fits two ways of grouping equally well.
    """

    def rows(label: str, author: str | None = None) -> list[LabelRow]:
        return ask(
            database,
            MEMBERS_OF_LABEL,
            timeout_s=TIMEOUT_S,
            label=label,
            author=author,
            transcoders=transcoders,
        )

    parts = text.split("|")
    if len(parts) > 2:
        label, method, author = "|".join(parts[:-2]), parts[-2], parts[-1]
        for row in rows(label, author):
            if row.method == method:
                return _Supernode(f"{{{text}}}", row)
    if len(parts) > 1:
        label, method = "|".join(parts[:-1]), parts[-1]
        fitting = [row for row in rows(label) if row.method == method]
        if len(fitting) > 1:
            raise _unclear(label, fitting)
        if fitting:
            return _Supernode(f"{{{text}}}", fitting[0])
    found = rows(text)
    if not found:
        there = {label: rows(label) for label in ("|".join(parts[:n]) for n in range(len(parts) - 1, 0, -1))}
        known = next((label for label, having in there.items() if having), None)
        raise NotFoundError(
            f"No circuit made with {transcoders} has the supernode {{{text}}}",
            next_step="`supernodes` in GraphQL finds labels; `atlas supernodes` makes supernodes"
            if known is None
            else f"write {_names(known, there[known])}",
        )
    if len(found) > 1 and _rank(found[0]) == _rank(found[1]):
        raise _unclear(text, [row for row in found if _rank(row) == _rank(found[0])])
    return _Supernode(_name(text, found[0], found), found[0])


def _rank(row: LabelRow) -> tuple[bool, int]:
    """What decides between ways of grouping."""
    return row.scored, row.n_circuits


def _name(label: str, row: LabelRow, others: Sequence[LabelRow]) -> str:
    """Author named where the method alone would not tell it from the others."""
    alone = sum(each.method == row.method for each in others) == 1 or row.author is None
    return f"{{{label}|{row.method}}}" if alone else f"{{{label}|{row.method}|{row.author}}}"


def _names(label: str, rows: Sequence[LabelRow]) -> str:
    return " or ".join(_name(label, row, rows) for row in rows)


def _unclear(label: str, rows: Sequence[LabelRow]) -> InputError:
    return InputError(
        f"{{{label}}} is in {len(rows)} groupings, of which none comes first",
        next_step=f"name one: {_names(label, rows)}",
    )


def _number(edit: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(
            f"{edit!r}: {text!r} is no number", next_step="write it like: plant {LABEL}@9=2"
        ) from error
