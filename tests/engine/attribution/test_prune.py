"""Influence, pruning and scores against the power series written out, and what pruning promises."""

from typing import Any

import pytest
import torch
from torch import Tensor

from ingest.engine.attribution.attribute import attribute
from ingest.engine.attribution.graph import AttributionGraph
from ingest.engine.attribution.prune import node_influence, prune, scores
from ingest.engine.errors import SettingError
from ingest.engine.replacement.model import ReplacementModel
from tests.support.engine import PROMPT, Tiny, save


@pytest.fixture(scope="module", params=[0, 1, 2], ids=lambda seed: f"seed {seed}")
def graph(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AttributionGraph:
    tiny = Tiny(seed=request.param, n_layers=4, n_features=20)
    return attribute(ReplacementModel.load(*save(tiny, tmp_path_factory.mktemp("tiny"))), PROMPT)


def share_of_inputs(matrix: Tensor) -> Tensor:
    size = matrix.double().abs()
    return size / size.sum(1, keepdim=True).clamp(min=1e-300)


def series(matrix: Tensor, weights: Tensor) -> Tensor:
    """weights · (N + N² + …) until nothing is left."""
    shares, total, power = share_of_inputs(matrix), torch.zeros_like(weights), weights
    while (power := power @ shares).any():
        total = total + power
    return total


def logit_weights(graph: AttributionGraph) -> Tensor:
    weights = torch.zeros(graph.n_nodes, dtype=torch.float64)
    weights[-graph.n_logits :] = graph.logit_probabilities.double()
    return weights


def smallest_needed(values: Tensor, share: float) -> float:
    """Count values off from the largest until they hold the share."""
    total, held = float(values.sum()), 0.0
    for value in sorted(values.flatten().tolist(), reverse=True):
        held += value
        if held >= share * total:
            return float(value)
    return 0.0


def prune_slowly(
    graph: AttributionGraph, node_share: float, edge_share: float, max_edges: int | None = None
) -> tuple[Tensor, Tensor, float]:
    """Node and edge masks by the definitions, with dense matrices, and the edges' share of all scores."""
    weights, influence = logit_weights(graph), series(graph.adjacency, logit_weights(graph))
    fixed = graph.n_features + graph.n_layers * graph.n_positions
    nodes = influence >= smallest_needed(influence, node_share)
    nodes[fixed:] = True
    matrix = graph.adjacency * nodes * nodes[:, None]
    score = share_of_inputs(matrix) * (series(matrix, weights) + weights)[:, None]
    edges = (score > 0) & (score >= smallest_needed(score, edge_share))
    drop_loose_ends(graph, nodes, edges, fixed)
    if max_edges is not None:
        by_score = sorted(edges.nonzero().tolist(), key=lambda at: float(score[tuple(at)]), reverse=True)
        for target, source in by_score[max_edges:]:
            edges[target, source] = False
        drop_loose_ends(graph, nodes, edges, fixed)
    return nodes, edges, float(score[edges].sum() / score.sum())


def drop_loose_ends(graph: AttributionGraph, nodes: Tensor, edges: Tensor, fixed: int) -> None:
    while True:
        before = int(nodes.sum())
        for number in nodes[:fixed].nonzero().flatten().tolist():
            used = edges[:, number].any()
            driven = edges[number].any() or number >= graph.n_features
            if not (used and driven):
                nodes[number] = False
                edges[number] = edges[:, number] = False
        if int(nodes.sum()) == before:
            break


def test_influence_is_the_sum_over_all_paths(graph: AttributionGraph) -> None:
    expected = series(graph.adjacency, logit_weights(graph))
    torch.testing.assert_close(node_influence(graph), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("shares", [(0.8, 0.98), (0.5, 0.9), (1, 0.9), (0.6, 1), (0.1, 0.1)])
def test_pruning_keeps_what_the_definition_keeps(
    graph: AttributionGraph, shares: tuple[float, float]
) -> None:
    pruned = prune(graph, node_threshold=shares[0], edge_threshold=shares[1])
    nodes, edges, _ = prune_slowly(graph, *shares)
    assert torch.equal(pruned.nodes, nodes)
    assert torch.equal(pruned.edges, edges)
    influence = series(graph.adjacency, logit_weights(graph))
    torch.testing.assert_close(pruned.influence, influence, rtol=1e-6, atol=1e-9)
    assert pruned.kept_influence == pytest.approx(float(influence[nodes].sum() / influence.sum()), abs=1e-6)


@pytest.mark.parametrize("shares", [(0.8, 0.98), (1, 1)])
def test_a_limit_of_edges_keeps_the_strongest(graph: AttributionGraph, shares: tuple[float, float]) -> None:
    whole = prune(graph, node_threshold=shares[0], edge_threshold=shares[1])
    limit = len(whole.weight) // 3
    pruned = prune(graph, node_threshold=shares[0], edge_threshold=shares[1], max_edges=limit)
    nodes, edges, share = prune_slowly(graph, *shares, limit)
    assert torch.equal(pruned.nodes, nodes)
    assert torch.equal(pruned.edges, edges)
    assert 0 < len(pruned.weight) <= limit
    assert (pruned.max_edges, pruned.edge_share) == (limit, pytest.approx(share, abs=1e-6))
    assert share > limit / len(whole.weight)


def test_a_limit_that_drops_no_edge_leaves_no_trace(graph: AttributionGraph) -> None:
    whole = prune(graph)
    pruned = prune(graph, max_edges=len(whole.weight))
    assert torch.equal(pruned.edges, whole.edges)
    assert (pruned.max_edges, pruned.edge_share) == (None, None)


def test_tokens_and_logits_are_always_kept(graph: AttributionGraph) -> None:
    pruned = prune(graph, node_threshold=0, edge_threshold=0)
    assert pruned.nodes[graph.token_nodes].all()
    assert pruned.nodes[graph.logit_nodes].all()


def test_cumulative_influence_counts_from_the_largest(graph: AttributionGraph) -> None:
    pruned = prune(graph)
    order = torch.argsort(pruned.influence, descending=True, stable=True)
    expected = pruned.influence[order].cumsum(0) / pruned.influence.sum()
    torch.testing.assert_close(pruned.cumulative[order], expected)


def test_thresholds_of_one_drop_nothing(graph: AttributionGraph) -> None:
    pruned = prune(graph, node_threshold=1, edge_threshold=1)
    assert pruned.nodes.all()
    assert torch.equal(pruned.edges, graph.adjacency != 0)
    assert pruned.kept_influence == 1.0


def test_kept_nodes_all_lie_on_a_path_to_a_logit(graph: AttributionGraph) -> None:
    pruned = prune(graph, node_threshold=0.5, edge_threshold=0.8)
    reached = torch.zeros_like(pruned.nodes)
    reached[graph.logit_nodes] = True
    for _ in range(graph.n_layers + 1):
        reached |= pruned.edges[reached].any(0)
    assert torch.equal(reached | graph_ends(graph), pruned.nodes | graph_ends(graph))


def graph_ends(graph: AttributionGraph) -> Tensor:
    ends = torch.zeros(graph.n_nodes, dtype=torch.bool)
    ends[graph.token_nodes] = ends[graph.logit_nodes] = True
    return ends


def test_scores_are_what_their_definitions_say(graph: AttributionGraph) -> None:
    weights, influence = logit_weights(graph), series(graph.adjacency, logit_weights(graph))
    shares = share_of_inputs(graph.adjacency)
    tokens, errors = influence[graph.token_nodes].sum(), influence[graph.error_nodes].sum()
    features = influence[graph.feature_nodes].sum()
    explained = 1 - shares[:, graph.error_nodes].sum(1)
    output = influence + weights
    assert tuple(scores(graph)) == pytest.approx(
        (
            float(tokens / (tokens + errors)),
            float((explained * output).sum() / output.sum()),
            float(errors / (errors + features)),
        ),
        abs=1e-6,
    )
    assert prune(graph).scores == scores(graph)


@pytest.mark.parametrize("argument", ["node_threshold", "edge_threshold"])
@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_a_threshold_outside_the_range_says_so(graph: AttributionGraph, argument: str, value: float) -> None:
    settings: dict[str, Any] = {argument: value}
    with pytest.raises(SettingError, match=rf"{argument} is {value}\n  → give a share from 0 to 1"):
        prune(graph, **settings)
