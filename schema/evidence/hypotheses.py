"""Hypotheses in the database: registered before their test, tested once, and listed whatever came out."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

from schema.circuit.records import stable_id
from schema.database import Database
from schema.errors import InputError
from schema.evidence.false_discovery import LEVEL, q_values
from schema.evidence.interventions import InterventionRecord
from schema.evidence.statements import (
    MeasuredCircuit,
    Statement,
    StatementKind,
    keep_outcome,
    stored_properties,
)
from schema.questions.question import Question, row_of

KIND = StatementKind("hypothesis", "Hypothesis", "TESTED_BY", "tested_at")


@dataclass(frozen=True)
class HypothesisStatement(Statement):
    """What is registered."""

    question: str
    """The claim, in words."""
    edits: tuple[str, ...]
    """Kind and edit, such as `ablate 3/17@5`."""
    prediction: str
    """`lowers` or `raises` the logit of the expected token."""
    prompts: tuple[str, ...]
    """Held-out prompts, which test the hypothesis."""
    tokens: tuple[str, ...]
    """The expected token of each held-out prompt."""
    formed_on: tuple[str, ...]
    """Prompts that the hypothesis was formed on; none of them tests it."""
    model: str
    """Folder or hub name of the model, or `bundled`."""
    transcoders: str
    """Folder or hub name of the transcoders, or `bundled`."""
    first_token: str | None = None
    """Treatment of the special first token, as `--first-token` takes it; None for the usual one."""

    @property
    def id(self) -> str:
        """Hash of all fields, in order, of `first_token` only where it is given."""
        fields = asdict(self)
        if self.first_token is None:
            del fields["first_token"]
        return stable_id(*fields.values())


class HypothesisOutcome(NamedTuple):
    """What came of a test, over the held-out prompts."""

    mean_effect: float
    """Mean change of the expected tokens' logits, each less the mean over the vocabulary."""
    null_mean: float
    """Mean effect of the draws of random features."""
    draws: int
    """Draws of random features, at least 1."""
    p: float
    """Share of draws with at least this effect in the predicted direction, the test itself counted as one
    draw. Above 0, at most 1."""


class HypothesisRow(NamedTuple):
    """One hypothesis as it is stored. Everything from `tested_at` on is None before the test."""

    id: str
    question: str
    edits: list[str]
    prediction: str
    n_prompts: int
    n_formed_on: int
    registered_at: str
    """ISO 8601."""
    tested_at: str | None
    """ISO 8601."""
    mean_effect: float | None
    null_mean: float | None
    draws: int | None
    p: float | None


class CorrectedHypothesis(NamedTuple):
    """One hypothesis with its correction for all hypotheses that were tested."""

    hypothesis: HypothesisRow
    q: float | None
    """q-value, 0 to 1; None before the test."""
    n_tested: int
    """Hypotheses that were tested, which `q` corrects for."""
    survived: bool | None
    """Whether q is at most `LEVEL`; None before the test."""


class HypothesisInterventionRow(NamedTuple):
    """One held-out prompt under the edits of a hypothesis."""

    key: str
    """Id of the hypothesis."""
    prompt: str
    token: str
    edits: list[str]
    effect: float
    null_mean: float
    null_sd: float
    n_null: int
    n_edited: int


HYPOTHESES = Question("hypotheses", row_of(HypothesisRow))
INTERVENTIONS_OF_HYPOTHESIS = Question("interventions_of_hypothesis", row_of(HypothesisInterventionRow))


def corrected_hypotheses(rows: Sequence[HypothesisRow]) -> list[CorrectedHypothesis]:
    """All hypotheses with their q-values, in order. rows: every hypothesis of the database."""
    tested = [row.p for row in rows if row.p is not None]
    q_of = dict(zip(tested, q_values(tested).tolist(), strict=True))
    return [
        CorrectedHypothesis(row, None, len(tested), None)
        if row.p is None
        else CorrectedHypothesis(row, q_of[row.p], len(tested), q_of[row.p] <= LEVEL)
        for row in rows
    ]


def register(database: Database, hypothesis: HypothesisStatement) -> str:
    """Store a hypothesis and return its id. A hypothesis that is stored already stays as it is."""
    database.write(_REGISTER, {"id": hypothesis.id, "row": hypothesis.properties()})
    return hypothesis.id


def registered(database: Database, id_: str) -> HypothesisStatement:
    """A hypothesis that waits for its test. Raises NotFoundError, and InputError when it was tested
    already."""
    found = stored_properties(database, KIND, id_)
    if "p" in found:
        raise InputError(
            f"Hypothesis {id_} was tested already (p = {found['p']:.3g}); its result is kept",
            next_step="register a new one, with other held-out prompts",
        )
    return HypothesisStatement.of(found)


def keep_test(
    database: Database,
    hypothesis: HypothesisStatement,
    outcome: HypothesisOutcome,
    tested: Sequence[InterventionRecord],
) -> None:
    """Write the outcome of a test and its interventions in one transaction. A stored outcome stays."""
    keep_outcome(database, KIND, hypothesis.id, outcome, [MeasuredCircuit(each) for each in tested])


_REGISTER = """
MERGE (h:Hypothesis {id: $id})
ON CREATE SET h += $row, h.registered_at = datetime()
"""
