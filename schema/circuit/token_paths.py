"""The contribution of each prompt token to each output candidate, over all paths of a circuit's pruned graph.

Effects are linear. The source s contributes w(s→f) to the activation a_f of the feature f, and so it
contributes the share w(s→f) / a_f of every effect of f. The contribution of token t to logit l is the sum
over all paths from t to l of

    w(t→f1) · w(f1→f2) / a_f1 · … · w(fn→l) / a_fn

Steps
1. Visit each node once, from the logit back: gain(l) = 1, and gain(f) = the sum over the effects of f of
   w(f→x) · gain(x) / a_f.
2. The contribution of a source is the sum over its effects of w times the gain of the target. Each token has
   its own contribution; the contributions of errors and of other sources are summed. The contribution of
   biases and pruned effects is the activation of each feature minus its kept inputs, times its gain.

Apart from rounding, tokens + errors + other + biases and pruned = the sum of the logit's kept inputs. A
feature without a stored activation cannot be split among its inputs, so all its effects count as biases and
pruned.

Source: "Circuit Tracing" (Anthropic 2025), linear attribution through active features.
"""

from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from math import fsum
from typing import NamedTuple

from schema.circuit.flow import FlowNode, FlowRow
from schema.errors import DatabaseError


class LogitParts(NamedTuple):
    """The contributions to one output candidate. They are signed, in units of the logit."""

    logit: FlowNode
    tokens: list[float]
    """Contribution of each token; aligned with `tokens_of`."""
    errors: float
    """Contribution of all error nodes."""
    other: float
    """Contribution of other sources, such as biases that are nodes."""
    biases_and_pruned: float
    """Contribution of the features' biases and of the pruned inputs of features."""
    total: float
    """The sum of the logit's kept inputs."""


def tokens_of(row: FlowRow) -> list[FlowNode]:
    """The kept token nodes, sorted by position."""
    return [node for node in row.nodes if node.kind == "TokenNode"]


def downward(row: FlowRow) -> tuple[list[str], dict[str, list[tuple[str, float]]]]:
    """Node ids in an order in which each node follows all its targets, and the effects of each node.

    The effects are lists of (target, weight). Raises DatabaseError when the effects form a cycle.
    """
    outgoing: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for source, target, weight in zip(row.sources, row.targets, row.weights, strict=True):
        outgoing[source].append((target, weight))
    try:
        # A node's "predecessors" here are its targets.
        order = list(TopologicalSorter({s: [t for t, _ in to] for s, to in outgoing.items()}).static_order())
    except CycleError as error:
        raise DatabaseError(
            f"The effects of circuit {row.key} form a cycle", next_step="load the circuit again"
        ) from error
    return order, outgoing


def token_parts(row: FlowRow) -> list[LogitParts]:
    """The contributions to each logit, the most probable logit first.

    Raises DatabaseError when the effects form a cycle.
    """
    nodes = {node.id: node for node in row.nodes}
    order, outgoing = downward(row)
    incoming: dict[str, list[float]] = defaultdict(list)
    for target, weight in zip(row.targets, row.weights, strict=True):
        incoming[target].append(weight)
    logits = sorted(
        (node for node in row.nodes if node.kind == "LogitNode"),
        key=lambda node: (-(node.probability or 0.0), node.id),
    )
    return [_split(row, logit, order, nodes, outgoing, incoming) for logit in logits]


def _split(
    row: FlowRow,
    logit: FlowNode,
    order: list[str],
    nodes: dict[str, FlowNode],
    outgoing: dict[str, list[tuple[str, float]]],
    incoming: dict[str, list[float]],
) -> LogitParts:
    gain: dict[str, float] = {logit.id: 1.0}
    part: dict[str, list[float]] = defaultdict(list)
    # 1
    for key in order:
        node = nodes[key]
        given = fsum(weight * gain.get(target, 0.0) for target, weight in outgoing.get(key, ()))
        if node.kind == "FeatureNode":
            if node.activation:
                gain[key] = given / node.activation
                part["rest"].append(gain[key] * fsum((node.activation, *(-w for w in incoming[key]))))
            else:
                part["rest"].append(given)
        # 2
        elif node.kind != "LogitNode":
            part[key if node.kind == "TokenNode" else node.kind].append(given)
    return LogitParts(
        logit,
        tokens=[fsum(part[node.id]) for node in tokens_of(row)],
        errors=fsum(part["ErrorNode"]),
        other=fsum(part["OtherNode"]),
        biases_and_pruned=fsum(part["rest"]),
        total=fsum(incoming[logit.id]),
    )
