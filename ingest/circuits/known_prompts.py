"""Prompts of a file whose circuits are in the database already: they get new tags and keep their family."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ingest.circuits.prompts import PromptLine
from schema.annotations.tags import tag_again
from schema.database import Database

NAMED = 3
"""Lines that a summary names; it counts the others."""


@dataclass
class KnownPrompts:
    """What changed for the prompts that the database had already."""

    n_tagged: int = 0
    """Prompts that got new tags."""
    other_family: list[str] = field(default_factory=list)
    """One phrase for each line that names another family than the database. The database's family stays."""

    def sentence(self) -> str:
        """The changes as sentences, with a space before them. Empty when there is nothing to report."""
        said = [f" New tags for the prompts of {self.n_tagged} of them."] if self.n_tagged else []
        if self.other_family:
            n_more = len(self.other_family) - NAMED
            more = f" and {n_more} more" if n_more > 0 else ""
            said.append(f" Prompts keep their families: {', '.join(self.other_family[:NAMED])}{more}.")
        return "".join(said)


def tag_known_prompts(database: Database, lines: Mapping[str, PromptLine]) -> KnownPrompts:
    """Add the tags of a file's lines to the prompts that the database has. Raises DatabaseError.

    lines: id of a circuit in the database → the line of its prompt.
    """
    found = KnownPrompts()
    if not lines:
        return found
    for row in tag_again(database, {circuit: line.tags for circuit, line in lines.items()}):
        found.n_tagged += row.n_new > 0
        line = lines[row.circuit]
        if line.family not in (None, row.family):
            stays = "in none" if row.family is None else f"in {row.family!r}"
            found.other_family.append(f"line {line.line} {stays}, not {line.family!r}")
    return found
