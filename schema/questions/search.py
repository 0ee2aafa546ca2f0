"""Questions that search texts: prompts, labels, supernodes and tokens."""

from typing import NamedTuple

from schema.questions.question import Question, page_of


class FoundRow(NamedTuple):
    """A text that contains the words."""

    kind: str
    """prompt, label, supernode or token."""
    text: str
    n_circuits: int
    n_features: int
    """Features with this label; 0 for other kinds."""


class TextUseRow(NamedTuple):
    """A circuit in which a text occurs."""

    circuit: str
    """Id of the circuit."""
    influence: float | None
    """Influence of what the text names; None when unknown."""


SEARCH = Question("search", page_of(FoundRow))
CIRCUITS_OF_TEXT = Question("circuits_of_text", page_of(TextUseRow))
