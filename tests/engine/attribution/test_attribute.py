"""Every edge against autograd, and what attribution promises besides."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ingest.engine.attribution import select
from ingest.engine.attribution.attribute import attribute
from ingest.engine.attribution.graph import AttributionGraph
from ingest.engine.attribution.prune import node_influence, prune, scores
from ingest.engine.attribution.targets import Salient, Tokens
from ingest.engine.errors import SettingError
from ingest.engine.replacement.model import ReplacementModel
from tests.support.engine import PROMPT, Tiny, attribute_slowly, save

VARIANTS = {
    "plain": Tiny(),
    "grouped queries": Tiny(n_groups=2),
    "one group": Tiny(n_groups=1),
    "biases": Tiny(biases=True),
    "tied": Tiny(tied=True),
    "wide heads": Tiny(d_head=6, n_heads=2, n_groups=1),
    "relu": Tiny(activation="relu"),
    "two layers": Tiny(n_layers=2, biases=True, n_groups=2),
    "reads the residual": Tiny(read_at="hook_resid_mid"),
    "reads before the gain": Tiny(read_at="ln2.hook_normalized"),
    "no special token": Tiny(special=False),
    "16-bit transcoders": Tiny(half=True),
    "skip connections": Tiny(skip=True, n_groups=2),
    "skip connections from the residual": Tiny(skip=True, read_at="hook_resid_mid"),
    "skip connections from before the gain": Tiny(skip=True, read_at="ln2.hook_normalized", special=False),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("tiny", VARIANTS.values(), ids=VARIANTS.keys())
def test_every_edge_is_what_autograd_finds(tiny: Tiny, dtype: torch.dtype, tmp_path: Path) -> None:
    folders = save(tiny, tmp_path)
    model = ReplacementModel.load(*folders, dtype=dtype)
    graph = attribute(model, PROMPT, batch_size=16)
    slow = attribute_slowly(
        folders,
        list(graph.token_ids),
        graph.logit_ids.tolist(),
        n_left_out=int(tiny.special),
        dtype=dtype,
    )
    assert graph.n_left_out == int(tiny.special)
    assert [tuple(row) for row in graph.active.tolist()] == slow.features
    assert len(slow.features) > 20
    torch.testing.assert_close(graph.activations, slow.activations.to(dtype), rtol=1e-5, atol=1e-5)
    probabilities = slow.logits[-1].softmax(-1)[graph.logit_ids]
    torch.testing.assert_close(graph.logit_probabilities, probabilities, rtol=1e-5, atol=1e-6)
    # In float64 to 1e-5 of the edge itself, however small it is; in float32 rounding is that of the target's
    # largest input.
    size = slow.adjacency.abs().amax(1, keepdim=True).clamp(min=1e-30)
    rounding = 1e-13 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(
        graph.adjacency.double() / size, slow.adjacency.double() / size, rtol=1e-5, atol=rounding
    )


@pytest.mark.parametrize("read_at", ["mlp.hook_in", "hook_resid_mid", "ln2.hook_normalized"])
def test_sixteen_bit_models_and_transcoders_are_summed_in_float32(read_at: str, tmp_path: Path) -> None:
    folders = save(Tiny(biases=True, n_groups=2, skip=True, read_at=read_at), tmp_path)
    model = ReplacementModel.load(*folders, dtype=torch.bfloat16)
    graph = attribute(model, PROMPT)
    assert (graph.dtype, graph.adjacency.dtype, graph.activations.dtype) == (
        "bfloat16",
        torch.float32,
        torch.float32,
    )
    assert model.transcoders.layers[0].encoder.dtype == torch.bfloat16
    # Sums of 16-bit numbers would have only 8 bits.
    edges = graph.adjacency[graph.adjacency != 0]
    assert (edges != edges.bfloat16().float()).float().mean() > 0.9
    # The model is another one by up to 2^-8 in every number, so edges are near, not equal.
    exact = attribute(ReplacementModel.load(*folders), PROMPT, [Tokens(tuple(graph.logit_ids.tolist()))])
    both = [(at[0], at[1], at[2]) for at in graph.active.tolist() if at in exact.active.tolist()]
    assert len(both) > 0.9 * graph.n_active
    near, far = graph.adjacency[graph.logit_nodes], exact.adjacency[exact.logit_nodes]
    tokens, exact_tokens = near[:, graph.token_nodes], far[:, exact.token_nodes]
    assert float((tokens - exact_tokens).norm() / exact_tokens.norm()) < 0.1
    # What float32 rounds, not what 16 bits would.
    again = attribute(model, PROMPT, batch_size=5)
    torch.testing.assert_close(graph.adjacency, again.adjacency, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ReplacementModel:
    return ReplacementModel.load(*save(Tiny(n_groups=2, n_layers=4), tmp_path_factory.mktemp("tiny")))


def test_the_same_prompt_gives_the_same_bits(model: ReplacementModel) -> None:
    first, second = attribute(model, PROMPT), attribute(model, PROMPT)
    assert torch.equal(first.adjacency, second.adjacency)
    assert torch.equal(first.active, second.active)


@pytest.mark.parametrize("batch_size", [1, 7, 10_000])
def test_the_batch_size_does_not_change_the_graph(model: ReplacementModel, batch_size: int) -> None:
    expected = attribute(model, PROMPT).adjacency
    found = attribute(model, PROMPT, batch_size=batch_size).adjacency
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_text_and_its_ids_give_the_same_graph(model: ReplacementModel) -> None:
    graph = attribute(model, PROMPT)
    assert torch.equal(attribute(model, graph.token_ids).adjacency, graph.adjacency)
    # Ids without the special first token get it too.
    assert torch.equal(attribute(model, graph.token_ids[1:]).adjacency, graph.adjacency)


def test_nothing_at_the_special_first_token_has_an_effect(model: ReplacementModel) -> None:
    graph = attribute(model, PROMPT)
    at_first = graph.node_positions() == 0
    at_first[graph.token_nodes] = False
    assert not (graph.active[:, 1] == 0).any()
    assert not graph.adjacency[:, at_first].any()
    assert graph.adjacency[:, graph.token_nodes][:, 0].any()


def test_the_graph_tells_its_own_shape(model: ReplacementModel) -> None:
    graph = attribute(model, PROMPT, [Salient(3, 1.0)])
    assert graph.tokens == ("<bos>", *PROMPT.split())
    assert (graph.n_positions, graph.n_logits, graph.n_features) == (8, 3, graph.n_active)
    assert graph.n_nodes == graph.n_features + 5 * 8 + 3
    assert graph.target == "salient-logits(3, 1)"
    assert (graph.target_position, graph.dtype, graph.max_feature_nodes) == (7, "float32", None)
    # A node is driven by nodes of lower layers and earlier positions only; errors and tokens by none.
    layers, positions = graph.node_layers(), graph.node_positions()
    target, source = graph.adjacency.nonzero(as_tuple=True)
    assert (layers[source] < layers[target]).all()
    assert (positions[source] <= positions[target]).all()
    assert not graph.adjacency[graph.error_nodes].any()
    assert not graph.adjacency[graph.token_nodes].any()


def select_slowly(graph: AttributionGraph, limit: int, step: int) -> list[int]:
    """Features in rounds: those with most influence through the rows of logits and chosen features alone."""
    size = graph.adjacency.double().abs()
    shares = size / size.sum(1, keepdim=True).clamp(min=1e-300)
    weights = torch.zeros(graph.n_nodes, dtype=torch.float64)
    weights[graph.logit_nodes] = graph.logit_probabilities.double()
    chosen: list[int] = []
    while len(chosen) < limit:
        known = torch.zeros(graph.n_nodes, 1, dtype=torch.float64)
        known[chosen], known[graph.logit_nodes] = 1, 1
        influence, power = torch.zeros_like(weights), weights
        while (power := power @ (shares * known)).any():
            influence += power
        ranked = influence[graph.feature_nodes].argsort(descending=True, stable=True).tolist()
        free = [feature for feature in ranked if feature not in chosen]
        chosen += free[: min(step, limit - len(chosen))]
    return sorted(chosen)


@pytest.mark.parametrize("limit", [1, 10, 60])
def test_a_limit_keeps_the_most_influential_features(
    model: ReplacementModel, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(select, "RANK_EVERY", 8)
    whole = attribute(model, PROMPT)
    limited = attribute(model, PROMPT, max_feature_nodes=limit)
    assert limited.selected.tolist() == select_slowly(whole, limit, 8)
    assert limited.n_features == limit
    assert limited.n_active == whole.n_active
    assert limited.max_feature_nodes == limit
    keep = torch.cat([limited.selected, torch.arange(whole.n_active, whole.n_nodes)])
    torch.testing.assert_close(limited.adjacency, whole.adjacency[keep[:, None], keep], rtol=1e-4, atol=1e-5)
    # The greedy choice holds nearly as much influence as any choice of so many features could.
    influence = node_influence(whole)[whole.feature_nodes]
    best = influence.topk(limit).values.sum()
    assert influence[limited.selected].sum() >= 0.8 * best


def test_a_limit_above_the_number_of_features_changes_nothing(model: ReplacementModel) -> None:
    limited, whole = attribute(model, PROMPT, max_feature_nodes=10_000), attribute(model, PROMPT)
    assert torch.equal(limited.adjacency, whole.adjacency)
    assert limited.max_feature_nodes is None


def test_a_prompt_on_which_nothing_fires_has_a_graph(tmp_path: Path) -> None:
    folders = save(Tiny(n_layers=2), tmp_path)
    for path in folders.transcoders.glob("W_enc_*.safetensors"):
        tensors = load_file(path)
        number = path.stem.removeprefix("W_enc_")
        tensors[f"threshold_{number}"].fill_(1e9)
        save_file(tensors, path)
    graph = attribute(ReplacementModel.load(*folders), PROMPT)
    assert graph.n_features == 0
    assert graph.adjacency[graph.logit_nodes, graph.error_nodes].any()
    found = scores(graph)
    assert found.error_share == 1.0
    assert prune(graph).nodes[graph.token_nodes].all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"targets": [Salient(0)]}, "max_n_logits is 0\n  → give a whole number from 1 up"),
        ({"max_feature_nodes": 0}, "max_feature_nodes is 0\n  → give a whole number from 1 up"),
        ({"batch_size": -1}, "batch_size is -1\n  → give a whole number from 1 up"),
        (
            {"targets": [Salient(10, 1.5)]},
            "desired_logit_prob is 1.5\n  → give a probability above 0, at most 1",
        ),
    ],
)
def test_a_setting_out_of_range_says_so(
    model: ReplacementModel, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingError) as caught:
        attribute(model, PROMPT, **settings)
    assert str(caught.value) == message
