"""Every edge against autograd, and what attribution promises besides."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from engine_oracle import PROMPT, Tiny, attribute_slowly, save

from ingest.engine.attribute import attribute
from ingest.engine.model import ReplacementModel


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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
        skip_first=tiny.special,
        dtype=dtype,
    )
    assert graph.special_first_token == tiny.special
    assert [tuple(row) for row in graph.active.tolist()] == slow.features
    assert len(slow.features) > 20
    torch.testing.assert_close(graph.activations, slow.activations.float(), rtol=1e-5, atol=1e-5)
    probabilities = slow.logits[-1].softmax(-1)[graph.logit_ids]
    torch.testing.assert_close(graph.logit_probabilities, probabilities.float(), rtol=1e-5, atol=1e-6)
    # Relative to the edge where numbers are exact enough, else to the largest input of the same target.
    size = slow.adjacency.abs().amax(1, keepdim=True).clamp(min=1e-30)
    rounding = 1e-6 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(
        graph.adjacency.double() / size, slow.adjacency.double() / size, rtol=1e-5, atol=rounding
    )
