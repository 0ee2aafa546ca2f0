"""Questions by words."""

from typing import NamedTuple

from schema.questions.question import Question, page_of


class FoundRow(NamedTuple):
    kind: str
    text: str
    n_circuits: int
    n_features: int


class TextUseRow(NamedTuple):
    circuit: str
    influence: float | None


SEARCH = Question("search", page_of(FoundRow))
CIRCUITS_OF_TEXT = Question("circuits_of_text", page_of(TextUseRow))
