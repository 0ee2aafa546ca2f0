"""Circuits and features chosen from the records."""

from collections.abc import Sequence

from schema.circuit.records import Circuit
from tests.support.circuits import TRANSCODERS, Use, uses


def of_set(circuits: Sequence[Circuit], *, plain: bool = True) -> list[Circuit]:
    """The circuits of the made-up CLT set; the others with `plain=False`."""
    return [circuit for circuit in circuits if (circuit.transcoders == TRANSCODERS) == plain]


def of_family(circuits: Sequence[Circuit], *names: str) -> list[Circuit]:
    """The circuits whose prompts are in one of the families."""
    return [circuit for circuit in circuits if circuit.prompt.family in names]


def n_settings(circuits: Sequence[Circuit]) -> int:
    """Number of different settings: transcoder set and node threshold."""
    return len({(circuit.transcoders.id, circuit.node_threshold) for circuit in circuits})


def by_feature(circuits: Sequence[Circuit]) -> dict[str, dict[str, Use]]:
    """Feature id → circuit id → use."""
    found: dict[str, dict[str, Use]] = {}
    for (circuit, feature), use in uses(circuits).items():
        found.setdefault(feature, {})[circuit] = use
    return found


def popular(circuits: Sequence[Circuit], n: int) -> list[str]:
    """The ids of the n features that occur in the most circuits."""
    found = by_feature(circuits)
    return sorted(found, key=lambda feature: (-len(found[feature]), feature))[:n]


def influences_of(circuit: Circuit) -> dict[str, float]:
    """Feature id → its influence in the circuit."""
    return {feature: use.influence or 0.0 for (_, feature), use in uses([circuit]).items()}
