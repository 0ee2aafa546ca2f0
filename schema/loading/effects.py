"""The effects of features on features in one circuit, and a number for each pair by which DRIVES is found.

The number keeps 31 bits of each feature. Features of two sets, and a few other pairs, therefore share a
number, so a query that finds a relationship by its number must compare both ends.
"""

import math
from collections import defaultdict
from typing import NamedTuple

from schema.circuit.records import Circuit, NodeKind
from schema.database import Transaction

HALF = 2**31
"""One more than the largest half of a `pair`. A pair is the half of the source times this, plus the half of
the target."""

LAYER_STEP = 1_000_003
"""Distance between the halves of the same index in neighbouring layers."""


class FeatureEffects(NamedTuple):
    """The effects of features on features in one circuit, each summed over positions."""

    features: list[str]
    """Ids of the features, ascending."""
    sources: list[int]
    """Place in `features` of the source of each effect; aligned with `targets` and `weights`."""
    targets: list[int]
    """Place in `features` of the target of each effect."""
    weights: list[float]
    """Sum of the effect over positions: exact, then rounded once."""


def effects_of_record(circuit: Circuit) -> FeatureEffects:
    """The effects of features on features in a record."""
    effects: dict[tuple[str, str], list[float]] = defaultdict(list)
    feature_id = circuit.transcoders.feature_id
    ids = [feature_id(*node.feature_key) if node.kind is NodeKind.FEATURE else None for node in circuit.nodes]
    for edge in circuit.edges:
        source, target = ids[edge.source], ids[edge.target]
        if source is not None and target is not None:
            effects[source, target].append(edge.weight)
    return _summed(effects)


_STORED_EFFECTS = """
MATCH (:Circuit {id: $id})-[:HAS]->(n:FeatureNode)-[e:ATTRIBUTES]->(m:FeatureNode),
      (n)-[:INSTANCE_OF]->(f:Feature), (m)-[:INSTANCE_OF]->(g:Feature)
RETURN f.id AS source, g.id AS target, e.weight AS weight
"""


def stored_effects(transaction: Transaction, circuit: str) -> FeatureEffects:
    """The effects of features on features in a stored circuit. circuit: id."""
    effects: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in transaction.run(_STORED_EFFECTS, {"id": circuit}):
        effects[row["source"], row["target"]].append(row["weight"])
    return _summed(effects)


def _summed(effects: dict[tuple[str, str], list[float]]) -> FeatureEffects:
    features = sorted({feature for pair in effects for feature in pair})
    place = {feature: number for number, feature in enumerate(features)}
    pairs = sorted(effects)
    return FeatureEffects(
        features=features,
        sources=[place[source] for source, _ in pairs],
        targets=[place[target] for _, target in pairs],
        weights=[_sum(effects[pair]) for pair in pairs],
    )


def _sum(weights: list[float]) -> float:
    """The exact sum, rounded once. It is infinite or NaN when stored weights are too large for it."""
    try:
        return math.fsum(weights)
    except (OverflowError, ValueError):
        return sum(weights)


def half(layer: int, index: int) -> int:
    """The part of a `pair` that one feature determines."""
    return (index % HALF + layer % HALF * LAYER_STEP) % HALF


def half_text(feature: str) -> str:
    """`half` in Cypher. feature: name of the variable that holds the feature.

    It is a number whatever is stored, because lists of halves are aligned with lists of features.
    """
    index, layer = (f"coalesce(toIntegerOrNull({feature}.{name}), 0)" for name in ("index", "layer"))
    return f"({index} % {HALF} + {layer} % {HALF} * {LAYER_STEP}) % {HALF}"


def pair_text(source: str, target: str) -> str:
    """A `pair` in Cypher. source, target: names of the variables that hold the features."""
    return f"({half_text(source)}) * {HALF} + {half_text(target)}"


# Popular features have so many effects that following them takes longer than everything else in a load.
def _each(weight: str) -> str:
    return f"""
CALL () {{
  UNWIND $p.features AS id MATCH (f:Feature {{id: id}})
  RETURN collect(f) AS features, collect({half_text("f")}) AS halves
}}
UNWIND range(0, size($p.sources) - 1) AS i
WITH features[$p.sources[i]] AS f, features[$p.targets[i]] AS g, {weight},
     halves[$p.sources[i]] * {HALF} + halves[$p.targets[i]] AS pair
"""


_DRIVES = "OPTIONAL MATCH ()-[d:DRIVES {pair: pair}]->() WHERE startNode(d) = f AND endNode(d) = g\n"
_DRIVES_IN = (
    "OPTIONAL MATCH ()-[d:DRIVES_IN {pair: pair, family: $p.family}]->() "
    "WHERE startNode(d) = f AND endNode(d) = g\n"
)
_ONE, _SEVERAL = _each("$p.weights[i] AS w"), _each("$p.effects[i] AS ws")

EACH_DRIVES = _ONE + _DRIVES
"""The beginning of Cypher that visits each effect of `FeatureEffects`, which are the parameter $p.

It gives both features f and g, the weight w, the number `pair`, and the DRIVES d, which is null when there is
none.
"""

EACH_DRIVES_IN = _ONE + _DRIVES_IN
"""Like `EACH_DRIVES`, with the DRIVES_IN of the family $p.family as d."""

EACH_DRIVES_OF_GROUP = _SEVERAL + _DRIVES
"""Like `EACH_DRIVES` for `schema.loading.shares.merged_effects`: gives the effects ws in place of w."""

EACH_DRIVES_IN_OF_GROUP = _SEVERAL + _DRIVES_IN
"""Like `EACH_DRIVES_OF_GROUP`, with the DRIVES_IN of the family $p.family as d."""
