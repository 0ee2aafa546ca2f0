"""Claims of the ledger: what edits do to the answers of circuits, as graphs predict it and as measured."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from schema.circuit.edit_grammar import parse_edit
from schema.database import Database
from schema.evidence.false_discovery import LEVEL, q_values
from schema.evidence.statements import (
    ChangedNode,
    MeasuredCircuit,
    Statement,
    StatementKind,
    keep_outcome,
    stored_properties,
)
from schema.questions.question import Question, Record, row_of

KIND = StatementKind("claim", "Claim", "MEASURED_BY", "measured_at")


@dataclass(frozen=True)
class ClaimStatement(Statement):
    """What a claim is about: everything needed to measure it again."""

    edits: tuple[str, ...]
    """Kind and edit as asked, such as `ablate 3/17@all`; {LABEL|METHOD} stands for the features of supernodes
    of one way of grouping."""
    transcoders: str
    """Id of the transcoder set."""
    model_path: str
    """Folder or hub name of the model, or `bundled`."""
    transcoders_path: str
    """Folder or hub name of the transcoders, or `bundled`."""
    circuits: tuple[str, ...]
    """Ids of the circuits."""
    family: str | None
    """Family whose circuits were asked for; None when circuits or a prompt were named."""
    freeze: str
    """`nothing`, `attention` or `everything`."""
    constrained: str | None
    """Layers whose MLPs are held, such as 0-3; None for no layers."""
    writes: str | None
    """Layers that the edits write to; None for all layers."""
    draws: int
    """Draws of random features, at least 1."""
    seed: int
    """Seed of the draws."""


class ClaimOutcome(NamedTuple):
    """What came of a claim, over its circuits."""

    predicted: float | None
    """Mean predicted change of the answers' logits; None when no circuit's graph has an edited feature."""
    effect: float
    """Mean measured change of the answers' logits, each less the mean over the vocabulary."""
    null_mean: float
    """Mean effect of the draws of random features."""
    null_sd: float
    """Standard deviation of the draws' mean effects."""
    p: float
    """Share of draws with at least this effect in the predicted direction, or in either direction when
    nothing is predicted; the claim itself counts as one draw. Above 0, at most 1."""


class ClaimRow(NamedTuple):
    """One claim as it is stored."""

    id: str
    edits: list[str]
    transcoders: str
    family: str | None
    freeze: str
    constrained: str | None
    writes: str | None
    draws: int
    seed: int
    n_circuits: int
    predicted: float | None
    effect: float
    null_mean: float
    null_sd: float
    p: float
    measured_at: str
    """ISO 8601."""


class ClaimsRow(NamedTuple):
    """The claims that were asked for, and the p-values of all claims."""

    rows: list[ClaimRow]
    """By p-value and id."""
    tested: list[float]
    """p-value of every claim in the database."""


class CorrectedClaim(NamedTuple):
    """One claim with its correction for all claims that were measured."""

    claim: ClaimRow
    q: float
    """q-value, 0 to 1."""
    n_measured: int
    """Claims in the database, which `q` corrects for."""
    survived: bool
    """Whether the graphs predict a change, it goes the predicted way, and q is at most `LEVEL`."""


class ClaimInterventionRow(NamedTuple):
    """One circuit under the edits of a claim."""

    key: str
    """Id of the claim."""
    circuit: str | None
    """Id of the circuit; None when it was deleted since."""
    prompt: str
    token: str
    edits: list[str]
    predicted: float | None
    effect: float
    null_mean: float
    null_sd: float
    n_null: int
    p: float
    n_edited: int
    changes: list[ChangedNode]


class CircuitToTestRow(NamedTuple):
    """A circuit that a claim may be measured on."""

    circuit: str
    prompt: str
    """Text of its prompt."""
    transcoders: str
    """Id of its transcoder set."""


def _claims(record: Record) -> ClaimsRow:
    return ClaimsRow([ClaimRow(**row) for row in record["rows"]], list(record["tested"]))


def _intervention(record: Record) -> ClaimInterventionRow:
    return ClaimInterventionRow(**{**record, "changes": [ChangedNode(**each) for each in record["changes"]]})


CLAIMS = Question("claims", _claims)
INTERVENTIONS_OF_CLAIM = Question("interventions_of_claim", _intervention)
CIRCUITS_TO_TEST = Question("circuits_to_test", row_of(CircuitToTestRow))


def corrected_claims(found: ClaimsRow, survived: bool | None = None) -> list[CorrectedClaim]:
    """The claims of an answer with their q-values, in order.

    survived: True for claims that survived, False for claims that did not, None for both.
    """
    q_of = dict(zip(found.tested, q_values(found.tested).tolist(), strict=True))
    claims = []
    for row in found.rows:
        as_predicted = row.predicted is not None and row.predicted * row.effect > 0
        survives = as_predicted and q_of[row.p] <= LEVEL
        if survived is None or survives == survived:
            claims.append(CorrectedClaim(row, q_of[row.p], len(found.tested), survives))
    return claims


def edits_a_feature(claim: ClaimRow, features: Collection[str]) -> bool:
    """Whether an edit of a claim names one of the features. Edits of supernodes name no feature.

    features: ids, written `set/layer/index`.
    """
    edits = [parse_edit(text) for text in claim.edits]
    named = {f"{claim.transcoders}/{each}" for edit in edits for each in (edit.features, edit.other)}
    return not named.isdisjoint(features)


def keep_claim(
    database: Database, claim: ClaimStatement, outcome: ClaimOutcome, tested: Sequence[MeasuredCircuit]
) -> None:
    """Write a claim, its outcome and its interventions in one transaction. A stored claim stays as it is."""
    keep_outcome(database, KIND, claim.id, outcome, tested, statement=claim)


def kept_claim(database: Database, id_: str) -> ClaimStatement:
    """What a stored claim is about. Raises NotFoundError."""
    return ClaimStatement.of(stored_properties(database, KIND, id_))
