"""What circuits add to the aggregates: the share of one circuit, and the merged shares of a group.

A group's shares are merged before they are sent, so that each feature and each pair of features is read and
written once for a group. The numbers of several circuits stay apart, in the order of the circuits, because a
sum depends on the order of its parts. So a group stores exactly what its circuits store one by one.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from schema.circuit.records import Circuit
from schema.database import Transaction
from schema.loading.effects import FeatureEffects, effects_of_record, stored_effects
from schema.loading.properties import Properties
from schema.loading.rows import Body


class AddedUse(NamedTuple):
    """A feature that a circuit has."""

    feature: str
    """Id of the feature."""
    influence: float | None


class Share(NamedTuple):
    """What one circuit adds to the aggregates."""

    transcoders: str | None
    """Id of its set; None for a broken circuit, which has none."""
    uses: list[AddedUse]
    effects: FeatureEffects


class FamilyShare(NamedTuple):
    """A circuit that joins the family of its prompt."""

    family: str
    share: Share


def share_of_record(circuit: Circuit, parts: Body) -> Share:
    """The share of a record. parts: the body of the record."""
    ids = [row["id"] for row in parts.features]
    uses = [AddedUse(ids[row["feature"]], row["influence"]) for row in parts.uses]
    return Share(circuit.transcoders.id, uses, effects_of_record(circuit))


_STORED_USES = """
MATCH (c:Circuit {id: $id})
OPTIONAL MATCH (c)-[:BY]->(t:TranscoderSet)
CALL (c) { MATCH (c)-[u:USES]->(f:Feature) RETURN collect([f.id, u.influence]) AS uses }
RETURN t.id AS transcoders, uses LIMIT 1
"""


def stored_share(transaction: Transaction, circuit: str) -> Share:
    """The share of a stored circuit. circuit: id."""
    (row,) = transaction.run(_STORED_USES, {"id": circuit})
    uses = [AddedUse(*each) for each in row["uses"]]
    return Share(row["transcoders"], uses, stored_effects(transaction, circuit))


def merged_uses(shares: Iterable[Share]) -> list[Properties]:
    """For each feature: the number of circuits that have it, and the influences that are known, in order."""
    found: dict[str, list[float | None]] = defaultdict(list)
    for share in shares:
        for use in share.uses:
            found[use.feature].append(use.influence)
    return [
        {"feature": feature, "n": len(each), "influences": [value for value in each if value is not None]}
        for feature, each in sorted(found.items())
    ]


def merged_effects(shares: Iterable[Share]) -> dict[str, list[Any]]:
    """The effects of each pair of features, in the order of the circuits.

    features: ids, ascending. sources, targets: for each pair, the places of its features in `features`.
    effects: for each pair, its effects, one of each circuit that has the pair.
    """
    each = [share.effects for share in shares]
    features = sorted({feature for effects in each for feature in effects.features})
    place = {feature: number for number, feature in enumerate(features)}
    found: dict[tuple[int, int], list[float]] = defaultdict(list)
    for effects in each:
        places = [place[feature] for feature in effects.features]
        for source, target, weight in zip(effects.sources, effects.targets, effects.weights, strict=True):
            found[places[source], places[target]].append(weight)
    return {
        "features": features,
        "sources": [source for source, _ in found],
        "targets": [target for _, target in found],
        "effects": list(found.values()),
    }
