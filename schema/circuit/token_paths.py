"""What each token of a prompt gives each output candidate, over every path of a circuit's pruned graph; pure.

Effects are linear: of feature f's activation a_f, the source s gives w(s→f), so of what f gives on, s gives
w(s→f) / a_f. The part of token t in logit l is the sum over all paths from t to l of

    w(t→f1) · w(f1→f2) / a_f1 · … · w(fn→l) / a_fn

Steps
1. From the logit back, each node once: gain(l) = 1, gain(f) = sum over f's effects of w(f→x) · gain(x) / a_f.
2. A source's part is the sum over its effects of w · gain of the target. Tokens keep theirs apart; errors and
   other sources are summed; a feature's activation less its kept inputs, times its gain, is what biases and
   pruned effects carry.

So tokens + errors + other + biases and pruned = the sum of the logit's kept inputs, but for rounding.
A feature without an activation cannot be split among its inputs: all it gives counts as biases and pruned.

Source: "Circuit Tracing" (Anthropic 2025), linear attribution through active features.
"""

from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from math import fsum
from typing import NamedTuple

from schema.circuit.flow import FlowNode, FlowRow
from schema.errors import DatabaseError


class LogitParts(NamedTuple):
    """One output candidate, split."""

    logit: FlowNode
    tokens: list[float]
    """Aligned with `tokens_of`: signed."""
    errors: float
    """Through error nodes."""
    other: float
    """From other sources, such as biases that are nodes."""
    biases_and_pruned: float
    """From features' biases, and from what was pruned away above them."""
    total: float
    """The sum of the logit's kept inputs."""


def tokens_of(row: FlowRow) -> list[FlowNode]:
    """The kept token nodes, by position."""
    return [node for node in row.nodes if node.kind == "TokenNode"]


def downward(row: FlowRow) -> tuple[list[str], dict[str, list[tuple[str, float]]]]:
    """Node ids, each after all that it acts on, and what each acts on, with weights.

    Raises DatabaseError when the effects run in a circle.
    """
    outgoing: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for source, target, weight in zip(row.sources, row.targets, row.weights, strict=True):
        outgoing[source].append((target, weight))
    try:
        # A node's "predecessors" here are its targets.
        order = list(TopologicalSorter({s: [t for t, _ in to] for s, to in outgoing.items()}).static_order())
    except CycleError as error:
        raise DatabaseError(
            f"The effects of circuit {row.key} run in a circle", next_step="load the circuit again"
        ) from error
    return order, outgoing


def token_parts(row: FlowRow) -> list[LogitParts]:
    """Each logit, the most probable first. Raises DatabaseError when the effects run in a circle."""
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
