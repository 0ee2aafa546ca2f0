"""Edits that name supernodes or plant features, rewritten as edits of single features.

    ablate {texas}@all            every feature that a supernode of this label groups, in any circuit
    scale {texas}@all=2, set …    likewise
    swap {texas}:{ohio}@all       the features of the first get 0, those of the second their mean activation
    plant {ohio}@9                the features get their mean activation
    plant 3/17@9=2                a feature gets twice its mean activation
    ablate {texas|person}@all     one way of grouping: a method, and its author after another |

A mean activation is the mean over all nodes of the feature in the circuits of the database. A label without a
method stands for one way of grouping too: the scored one that has the label in most circuits, else the one
without scores.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from schema.circuit.edit_grammar import (
    EditedFeatures,
    EditKind,
    FeatureName,
    SupernodeName,
    WrittenEdit,
    parse_edit,
)
from schema.database import Database
from schema.errors import InputError, NotFoundError
from schema.evidence.interventions import ACTIVATION_OF_FEATURES
from schema.questions.labels import MEMBERS_OF_LABEL, LabelMembersRow
from schema.questions.question import ask

TIMEOUT_S = 60.0

_LABEL = re.compile(r"\{([^{}]+)\}")

Members = dict[FeatureName, float | None]
"""Features of a supernode → mean activation; None when no circuit has one."""


def needs_database(edit: str) -> bool:
    """Whether only the database knows what the edit means. Raises InputError for a text that is no edit."""
    return _needs_database(parse_edit(edit, generating=True))


def _needs_database(edit: WrittenEdit) -> bool:
    return edit.kind is EditKind.PLANT or isinstance(edit.features, SupernodeName)


def grouped_edits(database: Database, transcoders: str, edits: Sequence[str]) -> list[str]:
    """The edits with the way of grouping of every supernode written out: {LABEL} becomes {LABEL|METHOD}.

    Reads the supernodes only. Raises as `plain_edits`.
    """
    for edit in edits:
        parse_edit(edit, generating=True)
    return [
        _LABEL.sub(lambda found: _supernode(database, transcoders, found[1]).name, edit) for edit in edits
    ]


def plain_edits(database: Database, transcoders: str, edits: Sequence[str]) -> list[str]:
    """The edits, in order, as edits of single features that the engine can run.

    transcoders: id of the set. Raises NotFoundError for a label or feature that no circuit has, InputError
    for a text that is no edit or a label that fits two ways of grouping alike.
    """
    return [each for edit in edits for each in _plain(database, transcoders, edit)]


def _plain(database: Database, transcoders: str, text: str) -> Iterator[str]:
    edit = parse_edit(text, generating=True)
    if not _needs_database(edit):
        yield text
        return
    members = _members(database, transcoders, edit.features)
    if edit.kind is EditKind.PLANT:
        factor = 1.0 if edit.number is None else edit.number
        yield from _planted(members, factor, edit)
    elif edit.other is not None:
        others = _members(database, transcoders, edit.other)
        for each in members:
            if each not in others:
                yield str(WrittenEdit(EditKind.ABLATE, each, None, edit.positions, None))
        yield from _planted(others, 1.0, edit)
    else:
        for each in members:
            yield str(edit._replace(features=each))


def _planted(members: Members, factor: float, edit: WrittenEdit) -> Iterator[str]:
    for each, activation in members.items():
        if activation is None:
            raise InputError(
                f"'{edit}': no circuit says how active {each} is", next_step="give the value: set 3/17@9=2.5"
            )
        yield str(WrittenEdit(EditKind.SET, each, None, edit.positions, activation * factor))


def _members(database: Database, transcoders: str, features: EditedFeatures) -> Members:
    if isinstance(features, SupernodeName):
        members = _supernode(database, transcoders, features.text).row.members
        return {FeatureName(row.layer, row.number): row.activation for row in members}
    found = ask(database, ACTIVATION_OF_FEATURES, timeout_s=TIMEOUT_S, keys=[f"{transcoders}/{features}"])
    if not found:
        raise NotFoundError(
            f"No circuit made with {transcoders} has the feature {features}",
            next_step="name a feature that some circuit has, or give its activation with set",
        )
    return {FeatureName(row.layer, row.number): row.activation for row in found}


class _Supernode(NamedTuple):
    """What a name in braces stands for."""

    name: str
    """The name with braces and the way of grouping."""
    row: LabelMembersRow


def _supernode(database: Database, transcoders: str, text: str) -> _Supernode:
    """The supernode of a name. text: LABEL, LABEL|METHOD or LABEL|METHOD|AUTHOR; a label may have a | too.

    Raises NotFoundError, and InputError when the name fits two ways of grouping equally well.
    """

    def rows(label: str, author: str | None = None) -> list[LabelMembersRow]:
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


def _rank(row: LabelMembersRow) -> tuple[bool, int]:
    """What decides between ways of grouping: the larger one comes first."""
    return row.scored, row.n_circuits


def _name(label: str, row: LabelMembersRow, others: Sequence[LabelMembersRow]) -> str:
    """The full name of a grouping, with its author where the method alone does not tell it apart."""
    alone = sum(each.method == row.method for each in others) == 1 or row.author is None
    return f"{{{label}|{row.method}}}" if alone else f"{{{label}|{row.method}|{row.author}}}"


def _names(label: str, rows: Sequence[LabelMembersRow]) -> str:
    return " or ".join(_name(label, row, rows) for row in rows)


def _unclear(label: str, rows: Sequence[LabelMembersRow]) -> InputError:
    return InputError(
        f"{{{label}}} is in {len(rows)} groupings, and no grouping comes first",
        next_step=f"name one: {_names(label, rows)}",
    )
