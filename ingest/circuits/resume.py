"""Prompts of a file whose circuits are in the database already: new tags are added, families stay."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ingest.circuits.prompts import PromptLine
from schema.annotations.tags import tag_again
from schema.database import Database

NAMED = 3
"""Lines that a summary names; the rest is counted."""


@dataclass
class Again:
    """What became of them."""

    n_tagged: int = 0
    """Prompts that got tags they lacked."""
    elsewhere: list[str] = field(default_factory=list)
    """A phrase for each line whose prompt is in another family than the line says, and stays there."""

    def sentence(self) -> str:
        """What is worth saying, a blank before it; empty when all is as the file says."""
        said = [f" {self.n_tagged} of their prompts got new tags."] if self.n_tagged else []
        if self.elsewhere:
            more = f" and {len(self.elsewhere) - NAMED} more" if len(self.elsewhere) > NAMED else ""
            said.append(f" Prompts stay in their families: {', '.join(self.elsewhere[:NAMED])}{more}.")
        return "".join(said)


def given_again(database: Database, lines: Mapping[str, PromptLine]) -> Again:
    """lines: by the id of the circuit that is there. Raises DatabaseError."""
    done = Again()
    if not lines:
        return done
    for row in tag_again(database, {circuit: line.tags for circuit, line in lines.items()}):
        done.n_tagged += row.n_new > 0
        line = lines[row.circuit]
        if line.family not in (None, row.family):
            stays = "in none" if row.family is None else f"in {row.family!r}"
            done.elsewhere.append(f"line {line.line} {stays}, not {line.family!r}")
    return done
