"""Prompts of a file whose circuits are stored already: they get new tags and keep their family."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ingest.circuits.prompts import PromptLine
from schema.circuit.tagged import TaggedCircuit

NAMED = 3
"""Lines that a summary names; it counts the others."""


@dataclass
class KnownPrompts:
    """What changed for the prompts that were stored already."""

    n_tagged: int = 0
    """Prompts that got new tags."""
    other_family: list[str] = field(default_factory=list)
    """One phrase for each line that names another family than the stored one, which stays."""

    def sentence(self) -> str:
        """The changes as sentences, with a space before them. Empty when there is nothing to report."""
        said = [f" New tags for the prompts of {self.n_tagged} of them."] if self.n_tagged else []
        if self.other_family:
            n_more = len(self.other_family) - NAMED
            more = f" and {n_more} more" if n_more > 0 else ""
            said.append(f" Prompts keep their families: {', '.join(self.other_family[:NAMED])}{more}.")
        return "".join(said)


def tag_known_prompts(
    tag: Callable[[Mapping[str, Sequence[str]]], Sequence[TaggedCircuit]], lines: Mapping[str, PromptLine]
) -> KnownPrompts:
    """Add the tags of a file's lines to the prompts that are stored already.

    tag: gives the prompts of circuits tags. lines: id of a stored circuit → the line of its prompt.
    """
    found = KnownPrompts()
    if not lines:
        return found
    for row in tag({circuit: line.tags for circuit, line in lines.items()}):
        found.n_tagged += row.n_new > 0
        line = lines[row.circuit]
        if line.family not in (None, row.family):
            stays = "in none" if row.family is None else f"in {row.family!r}"
            found.other_family.append(f"line {line.line} {stays}, not {line.family!r}")
    return found
