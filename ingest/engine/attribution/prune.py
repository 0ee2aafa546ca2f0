"""Influence, pruning and scores: which nodes and edges matter, and how far a graph explains the model.

Source: "Circuit Tracing" (Anthropic 2025), appendix on graph pruning, and "Evaluating graphs".

N is |A| with each row divided by its sum, so N[t, s] is the share of source s in the inputs of target t. p
holds the probabilities of the target logits. The influence of a node is the sum over all paths to the logits:

    influence = p (N + N² + N³ + …)

Nodes depend on lower layers only. The series is therefore finite, and one pass from the logits down computes
it exactly.

Pruning
1. Keep the most influential nodes that together hold `node_threshold` of all influence. Tokens and logits are
   always kept.
2. Score the edges among the kept nodes: score = N'[t, s] · (influence'[t] + p[t]), where N' and influence'
   belong to the remaining graph. Keep the best edges that together hold `edge_threshold` of all scores.
3. Drop features without an input, and features and errors without an effect. Repeat until nothing changes.
4. When more than `max_edges` edges are left, keep the best so many by the score of step 2, and repeat step 3.

Scores of the unpruned graph
- replacement: token influence / (token + error influence), the share of influence that runs from tokens to
  logits through features.
- completeness: the mean over nodes, weighted by influence + p, of the share of inputs that are not errors.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ingest.engine.attribution.graph import GraphNodes
from ingest.engine.errors import SettingError


class Scores(NamedTuple):
    """How far the unpruned graph explains the model. Each score is from 0 to 1."""

    replacement: float
    """Share of token-to-logit influence that runs through features instead of errors."""
    completeness: float
    """Influence-weighted share of the nodes' inputs that are not errors."""
    error_share: float
    """Share of the errors in the influence of all features and errors."""


@dataclass(frozen=True, eq=False)
class Pruned:
    """The kept nodes and edges of an attribution graph, and the influence that decided what is kept."""

    node_threshold: float
    edge_threshold: float
    nodes: Tensor
    """(n_nodes,) bool: whether each node is kept."""
    target: Tensor
    """(n_edges,) int64 target node of each kept edge. Edges are ordered by target and source. They join kept
    nodes only, and their effect is not 0."""
    source: Tensor
    """(n_edges,) int64 source node of each kept edge."""
    weight: Tensor
    """(n_edges,) signed direct effect of each kept edge."""
    inputs: Tensor
    """(n_nodes,) float64 sum of the absolute values of all effects on each node, in the unpruned graph."""
    influence: Tensor
    """(n_nodes,) float64 raw influence in the unpruned graph, ≥ 0; 0 for logits."""
    cumulative: Tensor
    """(n_nodes,) float64 share of all influence held by this node and the nodes at least as influential. A
    small value means an important node."""
    kept_influence: float
    """Share of all influence that the kept nodes hold, 0 … 1."""
    max_edges: int | None
    """The limit of step 4; None when there was none, or when no edge had to go for it."""
    edge_share: float | None
    """Share of the scores of all edges among the nodes of step 1 that the kept edges hold, 0 … 1. None when
    `max_edges` is."""
    scores: Scores
    """Scores of the unpruned graph."""

    @property
    def edges(self) -> Tensor:
        """(n_nodes, n_nodes) bool [target, source]: the kept edges."""
        found = torch.zeros(len(self.nodes), len(self.nodes), dtype=torch.bool)
        found[self.target, self.source] = True
        return found


def normalise(rows: Tensor) -> Tensor:
    """|rows| in float64, with each row divided by its sum. Rows of zeros stay zero."""
    size = rows.to(torch.float64, copy=True).abs_()
    return size.div_(_divisor(size.sum(-1))[:, None])


def accumulate(weights: Tensor, levels: Iterable[tuple[Tensor | slice, Tensor]]) -> Tensor:
    """(n_nodes,) float64: the exact influence of every node through the given rows.

    weights: (n_nodes,) float64, probabilities at the logits, 0 elsewhere. levels: groups of target nodes,
    each with its rows (m, ≤ n_nodes) of the matrix of effects. A node must not drive a node of its own group
    or of an earlier group.
    """
    influence = torch.zeros_like(weights)
    for nodes, rows in levels:
        influence[: rows.shape[1]] += (influence[nodes] + weights[nodes]) @ normalise(rows)
    return influence


class _Whole(NamedTuple):
    """The sums that one pass over all rows of a graph gives."""

    influence: Tensor
    """(n_nodes,) float64, as in `Pruned`"""
    inputs: Tensor
    """(n_nodes,) float64, as in `Pruned`"""
    from_errors: float
    """Σ over nodes of (influence + p) · share of the node's inputs that are errors"""


def _pass(graph: GraphNodes) -> _Whole:
    weights = _weights(graph)
    influence, inputs = torch.zeros_like(weights), torch.zeros_like(weights)
    from_errors = 0.0
    for nodes, rows in graph.rows():
        size = rows.to(torch.float64, copy=True).abs_()
        inputs[nodes] = size.sum(1)
        # Dividing the output by the row's sum normalises the row without another pass over it.
        output = (influence[nodes] + weights[nodes]) / _divisor(inputs[nodes])
        reached = output @ size
        influence[: len(reached)] += reached
        from_errors += float(reached[graph.error_nodes].sum())
    return _Whole(influence, inputs, from_errors)


def node_influence(graph: GraphNodes) -> Tensor:
    """(n_nodes,) float64 raw influence of every node on the target logits. It is 0 for the logits."""
    return _pass(graph).influence


def prune(
    graph: GraphNodes,
    *,
    node_threshold: float = 0.8,
    edge_threshold: float = 0.98,
    max_edges: int | None = None,
) -> Pruned:
    """Keep the nodes and edges that carry the most influence.

    Thresholds are shares of all influence, 0 … 1. When both thresholds are 1, nothing is dropped for them.
    max_edges: the largest number of edges; None for no limit. Raises SettingError for a threshold outside
    0 … 1 and for a limit below 1.
    """
    for name, value in (("node_threshold", node_threshold), ("edge_threshold", edge_threshold)):
        if not 0 <= value <= 1:
            raise SettingError(f"{name} is {value}", next_step="give a share from 0 to 1")
    if max_edges is not None and max_edges < 1:
        raise SettingError(f"max_edges is {max_edges}", next_step="give a whole number from 1 up")
    whole = _pass(graph)
    influence = whole.influence
    n_features, n_prunable = graph.n_features, graph.token_nodes.start
    # 1
    nodes = influence >= _threshold(influence, node_threshold)
    nodes[n_prunable:] = True
    kept = nodes.nonzero().flatten()
    matrix = graph.among(kept)
    feature, prunable = kept < n_features, kept < n_prunable
    stays, edge_share = torch.ones_like(kept, dtype=torch.bool), None
    if node_threshold == edge_threshold == 1:
        edges = matrix != 0
    else:
        # 2
        score = _edge_scores(graph, kept, matrix)
        edges = score > 0
        edges &= score >= _threshold(score[edges], edge_threshold)
        # 3
        stays = _drop_loose_ends(edges, stays, feature, prunable)
    if max_edges is not None and int(edges.sum()) > max_edges:
        # 4
        score = _edge_scores(graph, kept, matrix)
        total_score = score.sum()
        best = torch.argsort(score[edges], descending=True, stable=True)[:max_edges]
        target, source = edges.nonzero(as_tuple=True)
        edges = torch.zeros_like(edges)
        edges[target[best], source[best]] = True
        stays = _drop_loose_ends(edges, stays, feature, prunable)
        edge_share = float(score[edges].sum() / total_score)
    nodes[kept[~stays]] = False
    target, source = edges.nonzero(as_tuple=True)
    total = float(influence.sum())
    return Pruned(
        node_threshold=node_threshold,
        edge_threshold=edge_threshold,
        nodes=nodes,
        target=kept[target],
        source=kept[source],
        weight=matrix[target, source],
        inputs=whole.inputs,
        influence=influence,
        cumulative=_cumulative(influence),
        kept_influence=float(influence[nodes].sum()) / total if total > 0 else 1.0,
        max_edges=None if edge_share is None else max_edges,
        edge_share=edge_share,
        scores=_scores(graph, whole),
    )


def scores(graph: GraphNodes) -> Scores:
    """The replacement score, the completeness score and the error share of the unpruned graph."""
    return _scores(graph, _pass(graph))


def _scores(graph: GraphNodes, whole: _Whole) -> Scores:
    errors = float(whole.influence[graph.error_nodes].sum())
    tokens = float(whole.influence[graph.token_nodes].sum())
    features = float(whole.influence[graph.feature_nodes].sum())
    output = float((whole.influence + _weights(graph)).sum())
    return Scores(
        replacement=_share(tokens, errors),
        completeness=1 - whole.from_errors / output,
        error_share=_share(errors, features),
    )


def _share(part: float, rest: float) -> float:
    return part / (part + rest) if part + rest > 0 else 0.0


def _divisor(total: Tensor) -> Tensor:
    return torch.where(total > 0, total, 1.0)


def _weights(graph: GraphNodes) -> Tensor:
    weights = torch.zeros(graph.n_nodes, dtype=torch.float64)
    weights[graph.logit_nodes] = graph.logit_probabilities.double()
    return weights


def _cumulative(values: Tensor) -> Tensor:
    """The share of the sum held by each value and the values at least as large. Ties keep their order."""
    ordered, order = torch.sort(values, descending=True, stable=True)
    total = ordered.sum()
    result = torch.empty_like(values)
    result[order] = ordered.cumsum(0) / torch.where(total > 0, total, 1.0)
    return result


def _threshold(values: Tensor, share: float) -> float:
    """The smallest value among the largest values that together hold `share` of the sum.

    For a share of 1 the result is 0.
    """
    if share == 1 or len(values) == 0:
        return 0.0
    ordered = torch.sort(values, descending=True).values
    enough = int(torch.searchsorted(ordered.cumsum(0), share * ordered.sum()))
    return float(ordered[min(enough, len(ordered) - 1)])


def _edge_scores(graph: GraphNodes, kept: Tensor, matrix: Tensor) -> Tensor:
    """(n_kept, n_kept) float64 ≥ 0: the score of each edge of the matrix among the kept nodes (step 2)."""
    weights = _weights(graph)[kept]
    bounds = [
        torch.searchsorted(kept, torch.tensor([level.start, level.stop])).tolist() for level in graph.levels()
    ]
    levels = [slice(first, last) for first, last in bounds]
    influence = accumulate(weights, ((level, matrix[level]) for level in levels))
    return normalise(matrix) * (influence + weights)[:, None]


def _drop_loose_ends(edges: Tensor, stays: Tensor, feature: Tensor, prunable: Tensor) -> Tensor:
    """Step 3: which of the nodes that stay still do. Their edges go from `edges`, in place.

    edges: (n, n) bool. The others, and the result: (n,) bool; which nodes stay so far, are features, and are
    features or errors.
    """
    while True:
        left = stays & (edges.any(1) | ~feature) & (edges.any(0) | ~prunable)
        if torch.equal(left, stays):
            return stays
        stays = left
        edges &= stays & stays[:, None]
