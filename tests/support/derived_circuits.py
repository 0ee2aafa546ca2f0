"""Circuits whose influence is known as shares, and the same circuits as pruned files hold them."""

from collections import defaultdict
from dataclasses import replace
from math import fsum

from schema.circuit.records import Circuit, Node, NodeKind


def slow_scores(circuit: Circuit) -> tuple[float, float]:
    """Both scores by their definitions: every path from the logits down, one step after the other."""
    size = len(circuit.nodes)
    inputs = [0.0] * size
    for edge in circuit.edges:
        inputs[edge.target] += abs(edge.weight)
    weights = [node.probability or 0.0 for node in circuit.nodes]
    influence, step = [0.0] * size, weights
    while any(step):
        reached = [0.0] * size
        for edge in circuit.edges:
            reached[edge.source] += step[edge.target] * abs(edge.weight) / inputs[edge.target]
        influence = [a + b for a, b in zip(influence, reached, strict=True)]
        step = reached

    def of(kind: NodeKind) -> float:
        return sum(x for x, node in zip(influence, circuit.nodes, strict=True) if node.kind is kind)

    output = [a + b for a, b in zip(influence, weights, strict=True)]
    from_errors = [0.0] * size
    for edge in circuit.edges:
        if circuit.nodes[edge.source].kind is NodeKind.ERROR:
            from_errors[edge.target] += abs(edge.weight) / inputs[edge.target]
    held = sum(x * (1 - y) for x, y in zip(output, from_errors, strict=True))
    tokens, errors = of(NodeKind.TOKEN), of(NodeKind.ERROR)
    return tokens / (tokens + errors), held / sum(output)


def known(circuit: Circuit) -> Circuit:
    """An imported circuit whose graph was not pruned, with influence as a share of all influence."""
    whole = fsum(node.influence or 0.0 for node in circuit.nodes if node.kind is not NodeKind.LOGIT)
    inputs: dict[int, float] = defaultdict(float)
    for edge in circuit.edges:
        inputs[edge.target] += abs(edge.weight)
    nodes = tuple(
        node if node.kind is NodeKind.LOGIT else replace(node, influence=(node.influence or 0.0) / whole)
        for node in circuit.nodes
    )
    errors, features = (
        fsum(node.influence or 0.0 for node in nodes if node.kind is kind)
        for kind in (NodeKind.ERROR, NodeKind.FEATURE)
    )
    replacement, completeness = slow_scores(circuit)
    return replace(
        circuit,
        nodes=_with_cumulative(nodes),
        edges=tuple(edge._replace(share=abs(edge.weight) / inputs[edge.target]) for edge in circuit.edges),
        replacement_score=replacement,
        completeness_score=completeness,
        error_share=errors / (errors + features),
        content=circuit.id.ljust(64, "0"),
    )


def unknown(circuit: Circuit, cumulative: bool = True) -> Circuit:
    """The circuit as a pruned file holds it. cumulative: whether the file has the cumulative shares."""
    nodes = _with_cumulative(circuit.nodes)
    return replace(
        circuit,
        nodes=tuple(
            node
            if node.kind is NodeKind.LOGIT
            else replace(node, influence=None, cumulative=node.cumulative if cumulative else None)
            for node in nodes
        ),
        edges=tuple(edge._replace(share=None) for edge in circuit.edges),
        replacement_score=None,
        completeness_score=None,
        error_share=None,
    )


def _with_cumulative(nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """The nodes with the cumulative share of each, the logits without."""
    made = list(nodes)
    places = [place for place, node in enumerate(made) if node.kind is not NodeKind.LOGIT]
    raw = {place: made[place].influence or 0.0 for place in places}
    whole, held = fsum(raw.values()), 0.0
    for place in sorted(places, key=lambda place: -raw[place]):
        held += raw[place] / whole
        made[place] = replace(made[place], cumulative=min(held, 1.0))
    return tuple(made)
