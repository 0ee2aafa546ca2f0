"""Interventions: what edits did to a next token, beside random features and what the graph predicts."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from schema.database import Database
from schema.questions.question import Question, row_of

BANDS = (0.1, 0.03, 0.01, 0.003)
"""Bands of features by their share of a circuit's feature influence, or of its features' edge weights: the
least share of each band. Features below the last share are one band more; features that the graph lacks are
another one."""


class InterventionRecord(NamedTuple):
    """One prompt under edits, measured: the properties of an `Intervention` node. None is not stored."""

    id: str
    """Statement or circuit, a slash, and what tells it from the others there."""
    prompt: str
    """Text of the prompt."""
    token: str
    """The next token whose logit was measured."""
    edits: list[str]
    """Kind and edit of features, such as `ablate 3/17@5`."""
    effect: float
    """Change of the token's logit, less the mean over the vocabulary."""
    null_mean: float
    """Mean effect of the draws of random features."""
    null_sd: float
    """Standard deviation of the draws' effects."""
    n_null: int
    """Draws of random features."""
    n_edited: int
    """Activations that the edits changed; 0 when all features were silent."""
    seed: int
    """Seed of the draws."""
    predicted: float | None = None
    """Change that the pruned graph predicts; None when it has none of the features, and for hypotheses."""
    p: float | None = None
    """Share of draws with at least this effect in either direction, the intervention itself counted as one
    draw; None for hypotheses, whose p-value is over all their prompts."""
    share: float | None = None
    """Diagnosis: the feature's share of the circuit's feature influence; None when it was pruned away."""
    weight: float | None = None
    """Diagnosis: sum of |weight| of the feature's effects in the circuit; None when it was pruned away."""
    weight_share: float | None = None
    """Diagnosis: share of that sum over all features; None when the feature was pruned away."""
    stands_for: float | None = None
    """Diagnosis: features of the circuit's band for each one of them that was measured."""


class UsedFeature(NamedTuple):
    """A feature that a circuit kept."""

    layer: int
    number: int
    """Index in the dictionary of its layer."""
    influence: float | None
    """Influence on the circuit's logits, 0 to 1; None when a file does not give it."""


class MeasurableRow(NamedTuple):
    """What measuring interventions on a circuit takes."""

    key: str
    """Id of the circuit."""
    text: str
    """Text of the prompt."""
    token_ids: list[int] | None
    """Vocabulary ids of the prompt."""
    special_first_token: bool | None
    n_left_out: int | None
    """Positions at the start without features; None in circuits of version 0.1.0."""
    target_position: int
    """Position whose next token the circuit explains."""
    logit: str | None
    """Id of the node of the most probable target logit; None, as `token_id` and `token`, when no target is a
    token."""
    token_id: int | None
    """Vocabulary id of this target."""
    token: str | None
    """Its text."""
    uses: list[UsedFeature]
    """The kept features of MLPs, by layer and index."""
    pruned: list[tuple[int, int]] | None
    """(layer, index) of the features that were attributed and pruned away."""


class CircuitToMeasureRow(NamedTuple):
    """A circuit that `atlas diagnose` or `atlas ablate` measures."""

    circuit: str
    """Id of the circuit."""
    done: bool
    """Whether it was measured already."""


class DiagnosedRow(NamedTuple):
    """How many tests of a family fell into one cell of the table of `diagnostics`."""

    family: str | None
    """None for circuits of prompts without a family."""
    n_circuits: int
    """Diagnosed circuits of the family, equal in all rows of the family."""
    band: int
    """Place in `BANDS` by influence; len(BANDS) for the band below, one more for features that were
    pruned."""
    weight_band: int | None
    """Place in `BANDS` by edge weight, counted likewise; None for tests that were kept without it."""
    important: bool
    """Whether the feature has at least the asked share of its circuit's influence."""
    effective: bool
    """Whether its p-value is at most the asked level."""
    n: int
    """Tests in this cell."""
    stands_for: float
    """Features of the circuits that these tests stand for."""
    size: float
    """Sum of the absolute effects, in logits."""


class ActivationRow(NamedTuple):
    """How active a feature is in the circuits of the database."""

    key: str
    """Id of the feature."""
    layer: int
    number: int
    """Index in the dictionary of its layer."""
    n_nodes: int
    """Nodes of the feature, over all circuits."""
    activation: float | None
    """Mean over the nodes; None when no node has an activation."""


def _measurable(record: Any) -> MeasurableRow:
    uses = [UsedFeature(**each) for each in record["uses"]]
    numbers = record["pruned"]
    pruned = None if numbers is None else [(number % 1024, number // 1024) for number in numbers]
    return MeasurableRow(**{**record, "uses": uses, "pruned": pruned})


ACTIVATION_OF_FEATURES = Question("activation_of_features", row_of(ActivationRow))
TO_DIAGNOSE = Question("to_diagnose", row_of(CircuitToMeasureRow))
MEASURABLE = Question("measurable", _measurable)
DIAGNOSTICS = Question("diagnostics", row_of(DiagnosedRow))


def keep_diagnosis(database: Database, circuit: str, tests: Sequence[tuple[InterventionRecord, str]]) -> None:
    """Write the tests of a circuit in one transaction, in place of earlier ones.

    tests: each with the id of its feature. Nothing is written when the circuit was deleted meanwhile.
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
