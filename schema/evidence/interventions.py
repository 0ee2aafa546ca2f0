"""The ledger of interventions: what was measured of circuits, next to what their graphs predict."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from schema.database import Database
from schema.questions.question import Question, row_of

BANDS = (0.1, 0.03, 0.01, 0.003)
"""Least shares of a circuit's feature influence, or of its features' edge weights; what lies below the last
is a band, what the graph lacks one more."""


class Kept(NamedTuple):
    """One intervention of the ledger; the fields of the `Intervention` node."""

    id: str
    prompt: str
    token: str
    edits: list[str]
    effect: float
    null_mean: float
    null_sd: float
    n_null: int
    n_edited: int
    seed: int
    predicted: float | None
    p: float
    share: float | None = None
    weight: float | None = None
    weight_share: float | None = None
    stands_for: float | None = None


class Use(NamedTuple):
    """A feature that a circuit kept."""

    layer: int
    number: int
    """In the dictionary of its layer."""
    influence: float | None


class MeasurableRow(NamedTuple):
    """What measuring interventions on a circuit takes."""

    key: str
    text: str
    token_ids: list[int] | None
    special_first_token: bool | None
    target_position: int
    logit: str | None
    """Node of the most probable target logit; None when there is none that is a token, as in what follows."""
    token_id: int | None
    token: str | None
    uses: list[Use]
    """By layer and index; of MLPs only."""
    pruned: list[tuple[int, int]] | None
    """(layer, index) of features that were attributed and pruned away."""


class ToDiagnoseRow(NamedTuple):
    circuit: str
    done: bool
    """Whether it was diagnosed already."""


class DiagnosedRow(NamedTuple):
    """How many tests of a family fell into one cell."""

    family: str | None
    n_circuits: int
    """Circuits of the family that were diagnosed: the same in all its rows."""
    band: int
    """Place in `BANDS` of the least share; len(BANDS): below them; one more: the graph lacks the feature."""
    weight_band: int | None
    """The same by edge weight; None: kept without it."""
    important: bool
    effective: bool
    n: int
    stands_for: float
    """Features of the circuits that these tests stand for."""
    size: float
    """Sum of the absolute effects."""


def _measurable(record: Any) -> MeasurableRow:
    uses = [Use(**each) for each in record["uses"]]
    numbers = record["pruned"]
    pruned = None if numbers is None else [(number % 1024, number // 1024) for number in numbers]
    return MeasurableRow(**{**record, "uses": uses, "pruned": pruned})


class ActivationRow(NamedTuple):
    key: str
    layer: int
    number: int
    n_nodes: int
    activation: float | None
    """Mean over the nodes; None when none has one."""


ACTIVATION_OF_FEATURES = Question("activation_of_features", row_of(ActivationRow))
TO_DIAGNOSE = Question("to_diagnose", row_of(ToDiagnoseRow))
MEASURABLE = Question("measurable", _measurable)
DIAGNOSTICS = Question("diagnostics", row_of(DiagnosedRow))


def keep_diagnosis(database: Database, circuit: str, tests: Sequence[tuple[Kept, str]]) -> None:
    """Write the tests of a circuit in one transaction, in place of earlier ones.

    tests: each with the id of its feature. A circuit that is gone meanwhile keeps nothing.
    """
    rows = [{"row": test._asdict(), "feature": feature} for test, feature in tests]
    database.write(_DIAGNOSIS, {"p": {"circuit": circuit, "rows": rows}})


_DIAGNOSIS = """
MATCH (c:Circuit {id: $p.circuit})
CALL (c) {
  MATCH (c)-[:DIAGNOSED_BY]->(old:Intervention)
  DETACH DELETE old
}
UNWIND $p.rows AS each
CREATE (c)-[:DIAGNOSED_BY]->(i:Intervention)
SET i = each.row
WITH i, each
MATCH (f:Feature {id: each.feature})
CREATE (i)-[:EDITS]->(f)
"""
