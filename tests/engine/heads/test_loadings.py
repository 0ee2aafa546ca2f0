"""Head loadings: the parts of an edge sum to it, and each part is what a slow computation says."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ingest.engine.attribution.attribute import attribute
from ingest.engine.attribution.prune import prune
from ingest.engine.attribution.targets import Difference, Salient, Tokens, resolve
from ingest.engine.errors import SettingError
from ingest.engine.heads import loadings as module
from ingest.engine.heads.loadings import HeadLoadings, head_loadings, head_totals
from ingest.engine.intervention.measure import measured_effects
from ingest.engine.replacement.model import ReplacementModel
from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR
from tests.support.engine import PROMPT, Tiny, attribute_slowly, save


def check_sums(found: HeadLoadings, *, exact: bool) -> None:
    """At each layer that an edge crosses its parts sum to it: to 1e-5 of the edge, or of its largest part."""
    assert len(found.weight) > 0
    for layer in range(len(found.crosses)):
        mine = found.crosses[layer]
        parts = torch.cat([found.heads[layer], found.past[layer, :, None], found.above[layer, :, None]], 1)
        size = found.weight.abs() if exact else parts.abs().amax(1).clamp(min=1e-3)
        wrong = (parts.sum(1) - found.weight).abs() / size
        assert float(wrong[mine].max()) < 1e-5, layer
        assert not parts[~mine].any()


@pytest.mark.parametrize(
    "tiny",
    [
        Tiny(),
        Tiny(n_groups=2, biases=True, tied=True),
        Tiny(n_layers=4, read_at="hook_resid_mid", special=False),
    ],
    ids=["plain", "grouped", "resid"],
)
def test_parts_sum_to_the_edge(tiny: Tiny, tmp_path: Path) -> None:
    model = ReplacementModel.load(*save(tiny, tmp_path), dtype=torch.float64)
    graph = attribute(model, PROMPT)
    everything = prune(graph, node_threshold=1, edge_threshold=1)
    found = head_loadings(model, graph, everything)
    assert len(found.weight) == int(everything.edges.sum()) > 1000
    check_sums(found, exact=True)
    pruned = head_loadings(model, graph, prune(graph))
    check_sums(pruned, exact=True)
    # What is kept besides an edge changes nothing about it.
    place = {
        pair: number
        for number, pair in enumerate(zip(found.target.tolist(), found.source.tolist(), strict=True))
    }
    at = torch.tensor(
        [place[pair] for pair in zip(pruned.target.tolist(), pruned.source.tolist(), strict=True)]
    )
    torch.testing.assert_close(pruned.heads, found.heads[:, at])
    torch.testing.assert_close(pruned.above, found.above[:, at])


def test_a_head_carries_what_the_edge_loses_without_it(tmp_path: Path) -> None:
    folders = save(Tiny(n_groups=2), tmp_path)
    model = ReplacementModel.load(*folders, dtype=torch.float64)
    graph = attribute(model, PROMPT)
    found = head_loadings(model, graph, prune(graph, node_threshold=1, edge_threshold=1))

    def slowly(without: tuple[int, int] | None) -> Tensor:
        answer = attribute_slowly(
            folders,
            list(graph.token_ids),
            graph.logit_ids.tolist(),
            n_left_out=1,
            dtype=torch.float64,
            without=without,
        )
        return answer.adjacency[found.target, found.source]

    whole = slowly(None)
    for layer, head in ((0, 1), (1, 3), (2, 0)):
        lost = whole - slowly((layer, head))
        torch.testing.assert_close(lost, found.heads[layer, :, head], rtol=1e-5, atol=1e-6)
        assert int((lost.abs() > 1e-3).sum()) > 50


def test_totals_of_a_layer_are_those_of_its_edges(tmp_path: Path) -> None:
    model = ReplacementModel.load(*save(Tiny(), tmp_path), dtype=torch.float64)
    graph = attribute(model, PROMPT)
    pruned = prune(graph)
    found = head_loadings(model, graph, pruned)
    totals = head_totals(found, graph, pruned)
    assert totals.net.shape == totals.gross.shape == (3, 4)
    assert bool((totals.gross >= totals.net.abs()).all())
    output = pruned.influence.clone()
    output[graph.logit_nodes] += graph.logit_probabilities.double()
    for layer in range(3):
        expected = 0.0
        for edge, (target, source) in enumerate(
            zip(found.target.tolist(), found.source.tolist(), strict=True)
        ):
            if found.crosses[layer, edge]:
                share = float(graph.adjacency[target, source].abs() / graph.adjacency[target].abs().sum())
                rest = float((found.past[layer, edge] + found.above[layer, edge]) / found.weight[edge])
                expected += float(output[target]) * share * (1 - rest)
        assert float(totals.net[layer].sum()) == pytest.approx(expected, rel=1e-5)


def test_any_target_at_any_position(tmp_path: Path) -> None:
    model = ReplacementModel.load(*save(Tiny(), tmp_path), dtype=torch.float64)
    targets = (Difference("w3", "w4", position=4), Tokens(("w5",)), Salient(2, 0.9, position=5))
    graph = attribute(model, PROMPT, targets=targets)
    pruned = prune(graph, node_threshold=1, edge_threshold=1)
    with pytest.raises(SettingError, match="not a single token"):
        head_loadings(model, graph, pruned)
    directions = resolve(model, model.freeze(graph.token_ids), targets).directions
    check_sums(head_loadings(model, graph, pruned, directions), exact=True)
    sources = torch.arange(graph.logit_nodes.start)
    measured = measured_effects(model, graph, sources, logit_vectors=directions)
    logits = graph.adjacency[graph.logit_nodes][:, sources].double()
    torch.testing.assert_close(measured[graph.logit_nodes], logits, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("read_at", ["mlp.hook_in", "hook_resid_mid", "ln2.hook_normalized"])
def test_skip_connections_are_measured_and_go_past_the_heads(read_at: str, tmp_path: Path) -> None:
    model = ReplacementModel.load(*save(Tiny(read_at=read_at), tmp_path), dtype=torch.float64)
    random = torch.Generator().manual_seed(0)
    skips = torch.randn(3, 16, 16, generator=random, dtype=torch.float64) * 0.2
    layers = tuple(
        replace(part, skip=skip) for part, skip in zip(model.transcoders.layers, skips, strict=True)
    )
    model = replace(model, transcoders=replace(model.transcoders, layers=layers))
    graph = attribute(model, PROMPT)
    sources = torch.arange(graph.logit_nodes.start)
    measured = measured_effects(model, graph, sources)
    driven = graph.adjacency.any(1)
    torch.testing.assert_close(
        measured[driven], graph.adjacency[driven][:, sources].double(), rtol=1e-4, atol=1e-5
    )
    found = head_loadings(model, graph, prune(graph, node_threshold=1, edge_threshold=1))
    check_sums(found, exact=False)


def test_bundled_model_and_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    model = ReplacementModel.load(MODEL_DIR, TRANSCODERS_DIR)
    graph = attribute(model, "calc : 66 + 49 =")
    pruned = prune(graph)
    found = head_loadings(model, graph, pruned)
    check_sums(found, exact=False)
    monkeypatch.setattr(module, "MEMORY", 100_000)
    again = head_loadings(model, graph, pruned)
    torch.testing.assert_close(again.heads, found.heads, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(again.past, found.past, rtol=1e-4, atol=1e-4)
