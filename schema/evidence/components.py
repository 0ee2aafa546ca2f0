"""Ablated components of circuits: heads, and each layer's attention and MLP, next to what graphs claim."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from schema.database import Database
from schema.questions.question import Question, row_of


class ToAblateRow(NamedTuple):
    """A circuit that was loaded with heads."""

    circuit: str
    done: bool
    """Whether it was ablated already."""


class Crossing(NamedTuple):
    """Edges between two layers; tokens are at layer -1, logits at the number of layers."""

    source: int
    target: int
    influence: float


class AblatableRow(NamedTuple):
    """What ablating the components of a circuit takes."""

    key: str
    token_ids: list[int] | None
    position: int
    """Of its target."""
    token: int | None
    """Vocabulary id of its most probable target; None when none is a token, as in what follows."""
    text: str | None
    through: list[float]
    """By layer: influence that heads carry, net."""
    crossings: list[Crossing]


class HeadEffect(NamedTuple):
    """Means over circuits."""

    layer: int
    head: int
    gross: float
    size: float


class LayerEffect(NamedTuple):
    """Means over circuits."""

    layer: int
    attention: float
    mlp: float
    through: float
    crossing: float


class ComponentsRow(NamedTuple):
    """One family and model."""

    family: str
    model: str
    considered: int
    measured: int
    heads: list[HeadEffect]
    layers: list[LayerEffect]


class Components(NamedTuple):
    """What was measured of one circuit; lists by layer. The fields of the `ComponentEffects` node."""

    id: str
    token: str
    attention: list[float]
    mlp: list[float]
    through_heads: list[float]
    crossing: list[float]


def _ablatable(record: Any) -> AblatableRow:
    return AblatableRow(**{**record, "crossings": [Crossing(**each) for each in record["crossings"]]})


def _components(record: Any) -> ComponentsRow:
    heads = [HeadEffect(**each) for each in record["heads"]]
    return ComponentsRow(
        **{**record, "heads": heads, "layers": [LayerEffect(**each) for each in record["layers"]]}
    )


TO_ABLATE = Question("to_ablate", row_of(ToAblateRow))
ABLATABLE = Question("ablatable", _ablatable)
COMPONENTS = Question("components", _components)


def keep_components(
    database: Database, circuit: str, found: Components, heads: Sequence[tuple[int, int, float]]
) -> None:
    """Write what was measured of a circuit in one transaction, in place of what was there.

    heads: layer, number and effect of each. A circuit that is gone meanwhile keeps nothing.
    """
    rows = [{"layer": layer, "head": head, "effect": effect} for layer, head, effect in heads]
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
