"""Predicts from a circuit's pruned graph what changes when features get other activations.

The graph is linear. When the activation a of a feature becomes r · a, every effect of the feature grows by
(r - 1) times its size. An edited feature keeps the activation that the edit sets, so no path continues
through an edited feature:

    change(target) = sum over edited nodes e of
                     (r_e - 1) · (effect of e on the target over the paths without other edited nodes)

Source: "Circuit Tracing" (Anthropic 2025), linear attribution through active features.
"""

from collections.abc import Mapping
from math import fsum

from schema.circuit.flow import FlowRow
from schema.circuit.token_paths import downward


class Predictor:
    """One pruned graph, whose nodes are sorted once for all predictions.

    Raises DatabaseError when the effects form a cycle.
    """

    def __init__(self, row: FlowRow) -> None:
        self._nodes = {node.id: node for node in row.nodes}
        self._order, self._outgoing = downward(row)

    def change(self, target: str, factors: Mapping[str, float]) -> float:
        """The predicted change of a logit or of a feature's pre-activation.

        target: id of the node. factors: id of an edited feature node → its new activation divided by its old
        activation. A feature without a stored activation passes nothing on, as in
        `schema.circuit.token_paths`.
        """
        gain = {target: 1.0}
        change = []
        for key in self._order:
            node = self._nodes[key]
            if node.kind != "FeatureNode" or key == target:
                continue
            given = fsum(weight * gain.get(other, 0.0) for other, weight in self._outgoing.get(key, ()))
            if key in factors:
                change.append((factors[key] - 1) * given)
            elif node.activation:
                gain[key] = given / node.activation
        return fsum(change)
