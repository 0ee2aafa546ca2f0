"""What a circuit's pruned graph predicts when features get other activations; pure.

The graph is linear: a feature whose activation a becomes r · a gives (r - 1) times as much more of everything
that it gives. Edited features end at the activation asked for, so paths end at them:

    change(logit) = sum over edited nodes e of (r_e - 1) · (what e gives the logit over paths without others)

Source: "Circuit Tracing" (Anthropic 2025), linear attribution through active features.
"""

from collections.abc import Mapping
from math import fsum

from schema.questions_flow import FlowRow
from schema.token_paths import downward


def predicted_change(row: FlowRow, logit: str, factors: Mapping[str, float]) -> float:
    """The change of a logit, as the graph has it. Raises DatabaseError when the effects run in a circle.

    logit: id of its node; factors: id of an edited feature node → new activation over the old one. A feature
    without an activation gives nothing on, as in `schema.token_paths`.
    """
    nodes = {node.id: node for node in row.nodes}
    order, outgoing = downward(row)
    gain = {logit: 1.0}
    change = []
    for key in order:
        if nodes[key].kind != "FeatureNode":
            continue
        given = fsum(weight * gain.get(target, 0.0) for target, weight in outgoing.get(key, ()))
        if key in factors:
            change.append((factors[key] - 1) * given)
        elif activation := nodes[key].activation:
            gain[key] = given / activation
    return fsum(change)
