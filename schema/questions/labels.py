"""Questions about the labels of features."""

from typing import NamedTuple

from schema.questions.question import Question, row_of


class LabelRow(NamedTuple):
    key: str
    id: str
    text: str
    method: str
    author: str
    score: float | None
    null_score: float | None


class EvidenceRow(NamedTuple):
    """What a label was made from."""

    key: str
    rule: str | None
    asked: str | None
    answered: str | None


LABELS_OF_FEATURE = Question("labels_of_feature", row_of(LabelRow))
EVIDENCE_OF_LABEL = Question("evidence_of_label", row_of(EvidenceRow))
