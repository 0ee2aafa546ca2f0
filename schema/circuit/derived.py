"""What a pruned graph file determines of influence, shares and scores, and within which bounds.

A file of another tool gives each node's cumulative share c of all influence, in which features, errors and
tokens take part and logits do not ("Circuit Tracing", Anthropic 2025; circuit-tracer, `prune_graph`).

1. influence  In the order of c, a node's own share is c minus the c of the node before. Nodes of equal c
              divide the step between them equally. Own shares never rise in this order. Where the step is
              greater than the share before, pruned nodes stood in between; the share before is then an upper
              bound, and the node is marked (`Node.influence_is_bound`). A node threshold drops the end
              of the order, and an edge threshold drops nodes that lose their last edge, anywhere in it.
              No node's c is 0, because c counts the node itself: some programs write 0 where they know
              nothing. Where a node's c is unknown, so is its influence, and all others are marked.
              A dropped node shows unless its share and the next one together are at most the share
              before: then the value is an upper bound without a mark.
2. shares     The inputs of a target sum to 1 over the edges that were kept. Each share is an upper bound,
              because the file lacks the pruned inputs.
3. scores     The replacement and completeness scores of the kept graph, by the formulas of the unpruned one.
4. errors     The share of the errors among the kept errors and features. Its bounds give all that the file
              does not assign either to features or to errors.

`Circuit.derived` names what was derived. `underived` removes it again, so that exports and hashes hold what
the file said.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby, pairwise
from math import fsum
from typing import Any, NamedTuple

from schema.circuit.records import Circuit, Derived, Edge, Node, NodeKind

TOLERANCE = 1e-6
"""How much greater than the share before a step can be because c has 32 bits."""
MOST_DIGITS = 6
"""Some tools round c. If all c have at most this many decimal places, a step can be wrong by one unit of the
last place."""
MANY_STEPS = 20
"""Smallest number of steps in which rising ones show that a file's values are not cumulative."""


class OwnShare(NamedTuple):
    """A node's own share of all influence."""

    value: float
    bound: bool
    """Whether the value is only an upper bound."""


def derive(circuit: Circuit, *, influence: bool = True) -> Circuit:
    """The circuit with all that its file determines. What the file gives is never replaced.

    influence: whether `Node.cumulative` can be trusted.
    """
    derived: list[Derived] = []
    nodes, edges = list(circuit.nodes), circuit.edges
    found: dict[str, Any] = {}
    carriers = [place for place, node in enumerate(nodes) if node.kind is not NodeKind.LOGIT]
    if influence and all(nodes[place].influence is None for place in carriers):
        known = {place: nodes[place].cumulative for place in carriers}
        own = own_shares({place: c for place, c in known.items() if c})
        # A node without c may stand anywhere in the order.
        gaps = any(place not in own and nodes[place].kind is not NodeKind.OTHER for place in carriers)
        for place, share in own.items():
            bound = share.bound or gaps
            nodes[place] = replace(nodes[place], influence=share.value, influence_is_bound=bound)
        if own:
            derived.append(Derived.INFLUENCE)
            if circuit.error_share is None and (errors := error_share(nodes)) is not None:
                derived.append(Derived.ERROR_SHARE)
                found |= errors._asdict()
    # Gradients are no effects, so they do not add up to the inputs of a target.
    if edges and circuit.weights is None and all(edge.share is None for edge in edges):
        inputs = [0.0] * len(nodes)
        for edge in edges:
            inputs[edge.target] += abs(edge.weight)
        edges = tuple(
            Edge(source, target, weight, abs(weight) / inputs[target] if inputs[target] else 0.0)
            for source, target, weight, _ in edges
        )
        derived.append(Derived.SHARE)
        for name, value in _scores(nodes, edges).items():
            if value is not None and getattr(circuit, name) is None:
                derived.append(Derived(name))
                found[name] = value
    if not derived:
        return circuit
    names = tuple(sorted(derived))
    return replace(circuit, nodes=tuple(nodes), edges=edges, derived=names, **found)


def underived(circuit: Circuit) -> Circuit:
    """The circuit without what was derived: `derive` gives it back."""
    if not circuit.derived:
        return circuit
    nodes, edges = circuit.nodes, circuit.edges
    if Derived.INFLUENCE in circuit.derived:
        nodes = tuple(
            node if node.kind is NodeKind.LOGIT else replace(node, influence=None, influence_is_bound=False)
            for node in nodes
        )
    if Derived.SHARE in circuit.derived:
        edges = tuple(edge._replace(share=None) for edge in edges)
    gone: dict[str, Any] = {str(name): None for name in circuit.derived if name in _OF_CIRCUIT}
    if Derived.ERROR_SHARE in circuit.derived:
        gone |= {"error_share_low": None, "error_share_high": None}
    return replace(circuit, nodes=nodes, edges=edges, derived=(), **gone)


_OF_CIRCUIT = (Derived.ERROR_SHARE, Derived.REPLACEMENT_SCORE, Derived.COMPLETENESS_SCORE)


def is_cumulative(values: Sequence[float]) -> bool:
    """Whether values can be cumulative shares: their steps fall, apart from a few gaps.

    values: of features and errors only, because tokens are kept whatever stands before them.
    """
    ordered = sorted(set(values))
    steps = [after - before for before, after in pairwise([0.0, *ordered])]
    slack = _slack(values)
    rising = sum(after > before + slack for before, after in pairwise(steps))
    return len(steps) < MANY_STEPS or 3 * rising <= len(steps)


def own_shares(cumulative: dict[int, float]) -> dict[int, OwnShare]:
    """Place of each node → its own share (step 1). cumulative: place of a node → its c."""
    found: dict[int, OwnShare] = {}
    slack = _slack(list(cumulative.values()))
    before, least = 0.0, 1.0
    ordered = sorted(cumulative, key=cumulative.__getitem__)
    for c, group in groupby(ordered, key=cumulative.__getitem__):
        places = list(group)
        share = (c - before) / len(places)
        bound = share > least + slack
        least = least if bound else min(share, least)
        found |= dict.fromkeys(places, OwnShare(least if bound else share, bound))
        before = c
    return found


def _slack(cumulative: Sequence[float]) -> float:
    """How much greater than the share before a step can be because of rounding."""
    digits = next((n for n in range(MOST_DIGITS + 1) if all(round(c, n) == c for c in cumulative)), None)
    return TOLERANCE if digits is None or len(cumulative) < MANY_STEPS else max(TOLERANCE, 10.0**-digits)


class ErrorShare(NamedTuple):
    """The share of the errors in the influence of all features and errors, 0 to 1."""

    error_share: float
    """Share among the kept features and errors."""
    error_share_low: float
    """The share if everything else belongs to features."""
    error_share_high: float
    """The share if everything else belongs to errors."""


def error_share(nodes: Sequence[Node]) -> ErrorShare | None:
    """The error share and its bounds (step 4).

    None when the influence of a kept feature or error is unknown, or when none has any. nodes: with their own
    shares as `influence`. The bounds count marked nodes as 0, because their shares are
    only known not to be greater.
    """

    asked = [node for node in nodes if node.kind in (NodeKind.ERROR, NodeKind.FEATURE)]
    if any(node.influence is None for node in asked):
        return None

    def held(*kinds: NodeKind, sure: bool = False) -> float:
        return fsum(
            node.influence
            for node in nodes
            if node.kind in kinds and node.influence is not None and not (sure and node.influence_is_bound)
        )

    errors, features = held(NodeKind.ERROR), held(NodeKind.FEATURE)
    others = held(NodeKind.TOKEN, NodeKind.OTHER, sure=True)
    if errors + features <= 0 or others >= 1:
        return None
    low = held(NodeKind.ERROR, sure=True) / (1 - others)
    high = 1 - held(NodeKind.FEATURE, sure=True) / (1 - others)
    share = errors / (errors + features)
    # Rounding must not push a bound past the value between them.
    return ErrorShare(share, max(0.0, min(low, share)), min(1.0, max(high, share)))


def _scores(nodes: Sequence[Node], edges: Sequence[Edge]) -> dict[str, float | None]:
    """Both scores within the kept graph (step 3). Each is None when the edges do not determine it."""
    logits = [place for place, node in enumerate(nodes) if node.kind is NodeKind.LOGIT]
    output = [0.0] * len(nodes)
    for place in logits:
        probability = nodes[place].probability
        if probability is None and len(logits) == 1:
            probability = 1.0  # the probability of a single logit cancels
        if probability is None:
            return {}
        output[place] = probability
    inputs: list[list[Edge]] = [[] for _ in nodes]
    waits = [0] * len(nodes)
    for edge in edges:
        inputs[edge.target].append(edge)
        waits[edge.source] += 1
    # From the logits down: a node is finished when all nodes that it drives are.
    ready = [place for place, n in enumerate(waits) if n == 0]
    from_errors = 0.0
    while ready:
        place = ready.pop()
        for source, _, _, share in inputs[place]:
            part = output[place] * (share or 0.0)
            output[source] += part
            if nodes[source].kind is NodeKind.ERROR:
                from_errors += part
            waits[source] -= 1
            if waits[source] == 0:
                ready.append(source)
    tokens, errors = (
        fsum(output[place] for place, node in enumerate(nodes) if node.kind is kind)
        for kind in (NodeKind.TOKEN, NodeKind.ERROR)
    )
    whole = fsum(output)
    return {
        "replacement_score": tokens / (tokens + errors) if tokens + errors > 0 else None,
        "completeness_score": 1 - from_errors / whole if whole > 0 else None,
    }
