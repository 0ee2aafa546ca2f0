"""Every architecture's edges against autograd through the real modules of transformers.

The oracle shares nothing with the adapters. It runs the Hugging Face model itself with three functions of
torch replaced for the time of one pass: what softmax, rsqrt and layer_norm's deviation give is detached, so
patterns and scales are constants; and MLPs are replaced by features plus error with a multiplier of one on
every source.
"""

import pytest
import torch
from transformers import (
    OPTConfig,
    OPTForCausalLM,
)

from ingest.engine.attribution.attribute import attribute
from ingest.engine.errors import FitError, ModelError
from ingest.engine.replacement.model import ReplacementModel
from ingest.engine.transcoders.transcoder import TranscoderSet
from tests.support.engine import Tiny, tokenizer
from tests.support.models import (
    D_MODEL,
    IDS,
    MODELS,
    N_LAYERS,
    READ_AT,
    attribute_slowly,
    random_model,
    random_transcoders,
)


@pytest.mark.parametrize("cross_layer", [True, False], ids=["clt", "plt"])
@pytest.mark.parametrize("read_at", READ_AT)
@pytest.mark.parametrize("name", MODELS)
def test_every_edge_is_what_autograd_finds(name: str, read_at: str, cross_layer: bool) -> None:
    source, transcoders = random_model(name), random_transcoders(read_at, cross_layer=cross_layer)
    model = ReplacementModel.build(source, tokenizer(Tiny()), transcoders)
    graph = attribute(model, IDS)
    slow = attribute_slowly(source, transcoders, graph.logit_ids.tolist())
    assert [tuple(row) for row in graph.active.tolist()] == slow.features
    assert len(slow.features) > 20
    # To 1e-5 of the edge itself, however small it is; the rest is for parts that cancel to exactly 0.
    size = slow.adjacency.abs().amax(1, keepdim=True).clamp(min=1e-30)
    torch.testing.assert_close(graph.adjacency / size, slow.adjacency / size, rtol=1e-5, atol=1e-13)
    probabilities = source(torch.tensor([IDS])).logits[0, -1].softmax(-1)[graph.logit_ids]
    torch.testing.assert_close(graph.logit_probabilities, probabilities, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_sixteen_bit_weights_are_summed_in_float32(name: str) -> None:
    source = random_model(name, torch.bfloat16)
    transcoders = random_transcoders("mlp.hook_in", cross_layer=True, dtype=torch.float32)
    graph = attribute(ReplacementModel.build(source, tokenizer(Tiny()), transcoders), IDS)
    assert graph.adjacency.dtype == torch.float32
    assert graph.adjacency.isfinite().all()
    # Sums of 16-bit numbers would have only 8 bits.
    edges = graph.adjacency[graph.adjacency != 0]
    assert (edges != edges.bfloat16().float()).float().mean() > 0.9


def test_an_unknown_architecture_is_named_with_the_known_ones() -> None:
    config = OPTConfig(
        vocab_size=40,
        hidden_size=D_MODEL,
        num_hidden_layers=N_LAYERS,
        num_attention_heads=4,
        ffn_dim=16,
        word_embed_proj_dim=D_MODEL,
    )
    with pytest.raises(ModelError) as found:
        ReplacementModel.build(
            OPTForCausalLM(config), tokenizer(Tiny()), random_transcoders("mlp.hook_in", cross_layer=True)
        )
    assert "OPTForCausalLM" in str(found.value)
    assert "Gemma2ForCausalLM" in str(found.value)


def test_numbers_that_are_not_finite_are_named() -> None:
    source = random_model("mistral")
    with torch.no_grad():
        source.model.layers[1].self_attn.o_proj.weight[0, 0] = float("nan")
    with pytest.raises(ModelError) as found:
        ReplacementModel.build(source, tokenizer(Tiny()), random_transcoders("mlp.hook_in", cross_layer=True))
    assert "model.layers.1.self_attn.o_proj.weight" in str(found.value)


def test_transcoders_of_another_width_do_not_fit() -> None:
    wide = random_model("qwen3")
    narrow = random_transcoders("mlp.hook_in", cross_layer=True)
    short = TranscoderSet(narrow.layers[:2], "random", "mlp.hook_in", "hook_mlp_out")
    with pytest.raises(FitError, match="replace layers 0 … 1"):
        ReplacementModel.build(wide, tokenizer(Tiny()), short)


def test_writing_before_the_norm_behind_an_mlp_is_refused() -> None:
    layers = random_transcoders("mlp.hook_in", cross_layer=True).layers
    transcoders = TranscoderSet(layers, "random", "mlp.hook_in", "mlp.hook_out")
    with pytest.raises(FitError, match="hook_mlp_out"):
        ReplacementModel.build(random_model("gemma2"), tokenizer(Tiny()), transcoders)
    ReplacementModel.build(random_model("qwen3"), tokenizer(Tiny()), transcoders)
