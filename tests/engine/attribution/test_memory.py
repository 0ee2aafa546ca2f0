"""Graphs within a memory budget: streamed rows give what the whole matrix gives."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import torch

from ingest.engine.attribution import attribute, select
from ingest.engine.attribution.attribute import attribute_each, attribute_many
from ingest.engine.attribution.budget import parse_memory
from ingest.engine.attribution.graph import AttributionGraph, GraphNodes
from ingest.engine.attribution.prune import Pruned, prune
from ingest.engine.attribution.streamed import StreamedGraph
from ingest.engine.attribution.targets import DEFAULT, Difference, Tokens
from ingest.engine.errors import SettingError
from ingest.engine.replacement.model import ReplacementModel
from tests.support.engine import PROMPT, Tiny, save

PROMPTS = (PROMPT, "w1 w2", "w9 w8 w7 w6 w5 w4 w3 w2 w1", "w3 w1 w4 w1 w5")
TARGETS = (*DEFAULT, Difference("w3", "w4", 1), Tokens(("w5",)))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ReplacementModel:
    folders = save(Tiny(n_groups=2, n_layers=4, biases=True, n_features=24), tmp_path_factory.mktemp("tiny"))
    return ReplacementModel.load(*folders)


def check_same(found: Pruned, expected: Pruned) -> None:
    assert torch.equal(found.nodes, expected.nodes)
    assert torch.equal(found.target, expected.target)
    assert torch.equal(found.source, expected.source)
    size = expected.weight.abs().max()
    torch.testing.assert_close(found.weight / size, expected.weight / size, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found.inputs, expected.inputs, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found.influence, expected.influence, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found.cumulative, expected.cumulative, rtol=1e-6, atol=1e-6)
    assert found.scores == pytest.approx(expected.scores, abs=1e-6)
    assert found.kept_influence == pytest.approx(expected.kept_influence, abs=1e-6)


@pytest.mark.parametrize("memory", [500_000, 700_000, 3_000_000, 100_000_000])
@pytest.mark.parametrize("limit", [None, 30, 1000])
def test_a_budget_changes_nothing_but_what_is_held(
    model: ReplacementModel, memory: int, limit: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(select, "RANK_EVERY", 12)
    jobs = [(model.encode(prompt), TARGETS) for prompt in PROMPTS]
    whole = attribute_many(model, jobs, max_feature_nodes=limit)
    streamed = 0
    for graph, expected in zip(
        attribute_each(model, jobs, max_feature_nodes=limit, memory=memory), whole, strict=True
    ):
        streamed += isinstance(graph, StreamedGraph)
        assert about(graph) == about(expected)
        for shares in ((0.8, 0.98), (0.5, 0.9), (1, 1)):
            pruned = partial(prune, node_threshold=shares[0], edge_threshold=shares[1])
            check_same(pruned(graph), pruned(expected))
    assert (streamed > 0) == (memory < 1_000_000), streamed


@pytest.mark.parametrize(("room", "sizes"), [(1, [1] * 6), (250_000, [1, 1, 1, 1, 2]), (1 << 30, [6])])
def test_without_a_limit_small_prompts_are_computed_together(
    model: ReplacementModel, monkeypatch: pytest.MonkeyPatch, room: int, sizes: list[int]
) -> None:
    jobs = [(model.encode(prompt), TARGETS) for prompt in (*PROMPTS, "w7 w8 w9", "w7 w8")]
    expected = [attribute_many(model, [job], max_feature_nodes=30)[0] for job in jobs]
    together: list[int] = []
    whole = attribute._whole

    def counted(model: ReplacementModel, prompts: list[Any], *rest: Any) -> list[AttributionGraph]:
        together.append(len(prompts))
        return whole(model, prompts, *rest)

    monkeypatch.setattr(attribute, "_whole", counted)
    monkeypatch.setattr(attribute, "TOGETHER", room)
    found = list(attribute_each(model, jobs, max_feature_nodes=30))
    assert together == sizes
    for graph, alone in zip(found, expected, strict=True):
        assert isinstance(graph, AttributionGraph)
        assert about(graph) == about(alone)
        if room == 1:  # What is computed together decides the last bits, and nothing else does.
            assert torch.equal(graph.adjacency, alone.adjacency)
        torch.testing.assert_close(graph.adjacency, alone.adjacency, rtol=1e-5, atol=1e-5)


def about(graph: GraphNodes) -> dict[str, Any]:
    """Everything but the numbers of the matrix."""
    return {
        name: value.tolist() if isinstance(value, torch.Tensor) else value
        for name, value in vars(graph).items()
        if name not in ("adjacency", "source", "activations", "logit_probabilities")
    }


def test_no_matrix_larger_than_the_kept_nodes_is_made(
    model: ReplacementModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    (graph,) = attribute_each(model, [(model.encode(PROMPT), DEFAULT)], memory=500_000)
    assert isinstance(graph, StreamedGraph)
    largest = 0
    for name in ("zeros", "empty", "zeros_like", "empty_like"):
        real = getattr(torch, name)

        def watched(*given: Any, real: Any = real, **named: Any) -> torch.Tensor:
            nonlocal largest
            found: torch.Tensor = real(*given, **named)
            largest = max(largest, found.numel())
            return found

        monkeypatch.setattr(torch, name, watched)
    pruned = prune(graph, node_threshold=0.3)
    assert largest <= max(int(pruned.nodes.sum()) ** 2, 32 * graph.n_nodes)
    assert largest < graph.n_nodes**2 / 4


def test_a_budget_for_not_one_gradient_says_how_much_it_takes(model: ReplacementModel) -> None:
    def graphs(memory: int) -> Iterator[GraphNodes]:
        return attribute_each(model, [(model.encode(PROMPT), DEFAULT)], memory=memory)

    with pytest.raises(
        SettingError, match=r"memory of 0 MB does not hold a prompt of this size \(tokens: 8, .*\n  → give"
    ):
        next(graphs(1000))
    with pytest.raises(SettingError, match="memory is 0"):
        next(graphs(0))
    (graph,) = graphs(2_000_000_000)
    assert isinstance(graph, AttributionGraph)


@pytest.mark.parametrize(
    ("text", "size"),
    [("8GB", 8 * 10**9), ("1.5 GiB", 3 * 2**29), ("500mb", 5 * 10**8), ("2000", 2000), ("7KB", 7000)],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "lots", "-1GB", "8 G", "1e3MB", "nanGB"])
def test_what_is_no_size_says_so(text: str) -> None:
    with pytest.raises(SettingError, match="is not a size\n  → write it like 8GB"):
        parse_memory(text)
