"""Ablated components of circuits: heads, and the attention and MLP of each layer, beside what graphs
claim."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from schema.database import Database
from schema.evidence.interventions import CircuitToMeasureRow
from schema.questions.question import Question, row_of


class Crossing(NamedTuple):
    """The edges from one layer to another; tokens are at layer -1, logits at the number of layers."""

    source: int
    target: int
    influence: float
    """Sum over the edges: share of the target's inputs times the influence of the target."""


class AblatableRow(NamedTuple):
    """What ablating the components of a circuit takes."""

    key: str
    """Id of the circuit."""
    token_ids: list[int] | None
    """Vocabulary ids of the prompt."""
    target_position: int
    """Position whose next token the circuit explains."""
    token_id: int | None
    """Vocabulary id of the most probable target; None, as `token`, when no target is a token."""
    token: str | None
    """Its text."""
    through: list[float]
    """By layer: influence that the layer's heads carry, net."""
    crossings: list[Crossing]


class HeadEffect(NamedTuple):
    """One head, over the ablated circuits of a family."""

    layer: int
    head: int
    gross: float
    """Mean influence through the head, every part counted as positive."""
    size: float
    """Mean absolute effect of ablating the head, in logits."""


class LayerEffect(NamedTuple):
    """One layer, over the ablated circuits of a family."""

    layer: int
    attention: float
    """Mean absolute effect of ablating the attention, in logits."""
    mlp: float
    """Mean absolute effect of ablating the MLP, in logits."""
    through: float
    """Mean influence that the layer's heads carry, net."""
    crossing: float
    """Mean influence of all kept edges that cross the layer's attention."""


class ComponentsRow(NamedTuple):
    """The components of one model in the circuits of one family."""

    family: str
    model: str
    """Id of the model."""
    considered: int
    """Circuits that were loaded with heads."""
    measured: int
    """Circuits of these that were ablated; `heads` and `layers` are over them."""
    heads: list[HeadEffect]
    """By layer and head."""
    layers: list[LayerEffect]
    """By layer."""


class ComponentEffects(NamedTuple):
    """What was measured of one circuit: the properties of a `ComponentEffects` node. Lists go by layer."""

    id: str
    """Circuit/components."""
    token: str
    """The next token whose logit was measured."""
    attention: list[float]
    """Change of the token's logit, less the mean over the vocabulary, without the layer's attention."""
    mlp: list[float]
    """Likewise without the layer's MLP."""
    through_heads: list[float]
    """Influence that the layer's heads carry, net."""
    crossing: list[float]
    """Influence of all kept edges that cross the layer's attention."""


class MeasuredHead(NamedTuple):
    """One ablated head of one circuit."""

    layer: int
    head: int
    """Number of the head in its layer."""
    effect: float
    """Change of the token's logit, less the mean over the vocabulary."""


def _ablatable(record: Any) -> AblatableRow:
    return AblatableRow(**{**record, "crossings": [Crossing(**each) for each in record["crossings"]]})


def _components(record: Any) -> ComponentsRow:
    heads = [HeadEffect(**each) for each in record["heads"]]
    return ComponentsRow(
        **{**record, "heads": heads, "layers": [LayerEffect(**each) for each in record["layers"]]}
    )


TO_ABLATE = Question("to_ablate", row_of(CircuitToMeasureRow))
ABLATABLE = Question("ablatable", _ablatable)
COMPONENTS = Question("components", _components)


def keep_components(
    database: Database, circuit: str, found: ComponentEffects, heads: Sequence[MeasuredHead]
) -> None:
    """Write what was measured of a circuit in one transaction, in place of earlier measurements.

    Nothing is written when the circuit was deleted meanwhile.
    """
    rows = [each._asdict() for each in heads]
    database.write(_KEEP, {"p": {"circuit": circuit, "found": found._asdict(), "heads": rows}})


_KEEP = """
MATCH (c:Circuit {id: $p.circuit})
MERGE (a:ComponentEffects {id: $p.found.id})
SET a = $p.found
MERGE (c)-[:ABLATED]->(a)
WITH c
UNWIND $p.heads AS row
MATCH (c)-[u:RUNS_THROUGH]->(:Head {layer: row.layer, number: row.head})
SET u.effect = row.effect
"""
