"""Interventions, head loadings and QK attributions on other families of models than Llama."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from engine_oracle import Tiny, save_clt, tokenizer

from ingest.engine import model as replacement
from ingest.engine.adapters.anatomy import Anatomy, Attention, Layer, Norm
from ingest.engine.adapters.llama import llama
from ingest.engine.attribute import attribute
from ingest.engine.formats import circuit_tracer
from ingest.engine.intervene import Freeze, ablate, intervene
from ingest.engine.loadings import head_loadings
from ingest.engine.measure import measured_effects
from ingest.engine.model import ReplacementModel
from ingest.engine.prune import prune
from ingest.engine.qk import qk_attribution

PROMPT = "w3 w1 w4 w1 w5 w9 w2"
TINY = Tiny()
COMMON: dict[str, Any] = {
    "vocab_size": TINY.vocab_size,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 16,
    "tie_word_embeddings": False,
}


def gpt2(model: Any) -> Anatomy:
    """LayerNorm, learned positions, biases everywhere."""
    body = model.transformer

    def norm(part: Any) -> Norm:
        return Norm(part, part.weight.detach(), part.eps, centred=True)

    def layer(part: Any) -> Layer:
        value = part.attn.c_attn.weight.detach()[:, 32:].T
        output = part.attn.c_proj.weight.detach().T
        attention = Attention(part.attn, value.view(4, 4, 16), output.view(16, 4, 4).transpose(0, 1))
        return Layer(norm(part.ln_1), attention, norm(part.ln_2), part.mlp)

    return Anatomy(body.drop, tuple(map(layer, body.h)), norm(body.ln_f), model.lm_head.weight.detach(), 16)


FAMILIES: dict[str, tuple[Any, Callable[[Any], Anatomy]]] = {
    "GPT2LMHeadModel": (
        transformers.GPT2Config(vocab_size=TINY.vocab_size, n_embd=16, n_layer=3, n_head=4, n_positions=16),
        gpt2,
    ),
    "MistralForCausalLM": (transformers.MistralConfig(**COMMON, head_dim=8, sliding_window=3), llama),
    "Qwen2ForCausalLM": (transformers.Qwen2Config(**COMMON), llama),
    "Qwen3ForCausalLM": (transformers.Qwen3Config(**COMMON, head_dim=8), llama),
}


@pytest.fixture(params=FAMILIES)
def model(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ReplacementModel:
    """A random model of a family, its weights far from uniform, with a random cross-layer transcoder."""
    name = request.param
    config, adapter = FAMILIES[name]
    monkeypatch.setattr(replacement, "ARCHITECTURES", {name: adapter} | dict(replacement.ARCHITECTURES))
    torch.manual_seed(0)
    found = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").double()
    with torch.no_grad():
        for title, weight in found.named_parameters():
            if "norm" in title or "ln_" in title:
                weight.uniform_(0.5, 1.5)
            else:
                weight.normal_(0, 0.4)
    save_clt(TINY, tmp_path)
    transcoders = circuit_tracer.read(tmp_path, dtype=torch.float64)
    return ReplacementModel.build(found, tokenizer(TINY), transcoders)


def test_edges_are_measured_and_split(model: ReplacementModel) -> None:
    graph = attribute(model, PROMPT)
    sources = torch.arange(graph.logit_nodes.start)
    driven = torch.cat([torch.arange(graph.n_features), torch.arange(graph.logit_nodes.start, graph.n_nodes)])
    measured = measured_effects(model, graph, sources)[driven]
    edges = graph.adjacency[driven][:, sources].double()
    assert int((edges != 0).sum()) > 1000
    torch.testing.assert_close(measured, edges, rtol=1e-4, atol=1e-5)
    found = head_loadings(model, graph, prune(graph, node_threshold=1, edge_threshold=1))
    total = found.heads.sum(-1) + found.past + found.above
    for layer in range(3):
        mine = found.crosses[layer]
        torch.testing.assert_close(
            total[layer, mine], found.weight[mine].to(total.dtype), rtol=1e-5, atol=1e-6
        )


def test_scores_are_those_of_the_model(model: ReplacementModel) -> None:
    for layer, head, position in ((0, 3, 6), (2, 1, 7)):
        found = qk_attribution(model, PROMPT, layer=layer, head=head, position=position)
        for key in range(position + 1):
            torch.testing.assert_close(found.pairs(key).sum(), found.scores[key], rtol=1e-5, atol=1e-6)
        seen = found.pattern > 0
        # Outside a sliding window the pattern is 0, whatever the score.
        torch.testing.assert_close(found.scores[seen].softmax(-1), found.pattern[seen], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("freeze", list(Freeze))
def test_no_edit_changes_nothing_and_an_edit_does(model: ReplacementModel, freeze: Freeze) -> None:
    plain = intervene(model, PROMPT, [], freeze=freeze)
    torch.testing.assert_close(plain.logits, plain.plain_logits, rtol=1e-5, atol=1e-5)
    layer, position, feature = attribute(model, PROMPT).features[0].tolist()
    after = intervene(model, PROMPT, [ablate(layer, position, feature)], freeze=freeze)
    assert not torch.allclose(after.logits[position], plain.logits[position], atol=1e-3)
    torch.testing.assert_close(after.logits[:position], plain.logits[:position], rtol=1e-5, atol=1e-5)
