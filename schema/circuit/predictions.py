"""What a circuit's pruned graph predicts when features get other activations; pure.

The graph is linear: a feature whose activation a becomes r · a gives (r - 1) times as much more of everything
that it gives. Edited features end at the activation asked for, so paths end at them:

    change(target) = sum over edited nodes e of (r_e - 1) · (what e gives it over paths without others)

Source: "Circuit Tracing" (Anthropic 2025), linear attribution through active features.
"""

from collections.abc import Mapping
from math import fsum

from schema.circuit.flow import FlowRow
from schema.circuit.token_paths import downward


def predicted_change(row: FlowRow, target: str, factors: Mapping[str, float]) -> float:
    """The change of a logit, or of a feature's pre-activation, as the graph has it.

    target: id of its node; factors: id of an edited feature node → new activation over the old one. A feature
    without an activation gives nothing on, as in `schema.circuit.token_paths`. Raises DatabaseError when the
    effects run in a circle.
    """
    nodes = {node.id: node for node in row.nodes}
    order, outgoing = downward(row)
    gain = {target: 1.0}
    change = []
    for key in order:
        if nodes[key].kind != "FeatureNode" or key == target:
            continue
        given = fsum(weight * gain.get(other, 0.0) for other, weight in outgoing.get(key, ()))
        if key in factors:
            change.append((factors[key] - 1) * given)
        elif activation := nodes[key].activation:
            gain[key] = given / activation
    return fsum(change)
