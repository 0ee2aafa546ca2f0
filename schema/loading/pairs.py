"""A number for each pair of features, by which the database finds their DRIVES.

31 bits of each feature are kept, so that features of two sets, and few others, make the same number: what is
found by it has to be compared with both ends.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from schema.loading.rows import pairs

HALF = 2**31
"""Past the largest half of a `pair`: it is the source's half times this, plus the target's."""

LAYER_STEP = 1_000_003
"""How far the halves of the same index in neighbouring layers lie apart."""


def half(layer: int, index: int) -> int:
    """What one feature gives to a `pair`."""
    return (index % HALF + layer % HALF * LAYER_STEP) % HALF


def half_text(feature: str) -> str:
    """`half` in Cypher, of the feature that a variable holds."""
    return f"({feature}.index % {HALF} + {feature}.layer % {HALF} * {LAYER_STEP}) % {HALF}"


def pair_text(source: str, target: str) -> str:
    """A `pair` in Cypher."""
    return f"({half_text(source)}) * {HALF} + {half_text(target)}"


# Popular features have so many effects that walking along them takes longer than all else of a load.
_EACH = f"""
CALL () {{
  UNWIND $p.features AS id MATCH (f:Feature {{id: id}})
  RETURN collect(f) AS features, collect({half_text("f")}) AS halves
}}
UNWIND range(0, size($p.weights) - 1) AS i
WITH features[$p.sources[i]] AS f, features[$p.targets[i]] AS g, $p.weights[i] AS w,
     halves[$p.sources[i]] * {HALF} + halves[$p.targets[i]] AS pair
"""

EACH_DRIVES = (
    _EACH + "OPTIONAL MATCH ()-[d:DRIVES {pair: pair}]->() WHERE startNode(d) = f AND endNode(d) = g\n"
)
"""How Cypher begins that goes through one circuit's effects (`schema.loading.rows.pairs`, as `p`): both
features f and g, the weight w, their number, and the DRIVES d, null when there is none."""

EACH_DRIVES_IN = (
    _EACH + "OPTIONAL MATCH ()-[d:DRIVES_IN {pair: pair, family: $p.family}]->() "
    "WHERE startNode(d) = f AND endNode(d) = g\n"
)
"""The same for the DRIVES_IN of `p.family`."""

EFFECTS = """
MATCH (:Circuit {id: $id})-[:HAS]->(n:FeatureNode)-[e:ATTRIBUTES]->(m:FeatureNode),
      (n)-[:INSTANCE_OF]->(f:Feature), (m)-[:INSTANCE_OF]->(g:Feature)
RETURN f.id AS source, g.id AS target, e.weight AS weight
"""
"""The effects of features on features of a circuit that is there, by position."""


def effects_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """`pairs` of a stored circuit, from what `EFFECTS` gives."""
    effects: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in rows:
        effects[row["source"], row["target"]].append(row["weight"])
    return pairs(effects)
