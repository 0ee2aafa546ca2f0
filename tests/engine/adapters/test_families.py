"""Interventions, head loadings and QK attributions on other families of models than Llama."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from ingest.engine.attribution.attribute import attribute
from ingest.engine.attribution.prune import prune
from ingest.engine.attribution.targets import DEFAULT, resolve
from ingest.engine.heads.loadings import head_loadings
from ingest.engine.heads.qk import qk_attribution
from ingest.engine.intervention.intervene import Freeze, ablate, intervene
from ingest.engine.intervention.measure import measured_effects
from ingest.engine.replacement.firings import firings
from ingest.engine.replacement.model import ReplacementModel
from ingest.engine.replacement.precise import precise
from ingest.engine.transcoders.formats import recognise
from tests.support.engine import Tiny, save_clt, tokenizer

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


GROUPED = COMMON | {"head_dim": 8}
SINGLE = {name: value for name, value in COMMON.items() if name != "num_key_value_heads"}
CONFIGS = {
    "gpt2": transformers.GPT2Config(
        vocab_size=TINY.vocab_size, n_embd=16, n_layer=3, n_head=4, n_positions=16
    ),
    "neox-parallel": transformers.GPTNeoXConfig(**(SINGLE | {"rotary_pct": 0.5})),
    "neox": transformers.GPTNeoXConfig(**(SINGLE | {"rotary_pct": 0.5, "use_parallel_residual": False})),
    "mistral": transformers.MistralConfig(**GROUPED, sliding_window=3),
    "qwen2": transformers.Qwen2Config(**COMMON),
    "qwen3": transformers.Qwen3Config(**GROUPED),
    "gemma2": transformers.Gemma2Config(**GROUPED, attn_logit_softcapping=2.0, query_pre_attn_scalar=8),
    "gemma3": transformers.Gemma3TextConfig(**GROUPED, query_pre_attn_scalar=8),
    "gpt-oss": transformers.GptOssConfig(**GROUPED, num_local_experts=4, num_experts_per_tok=2),
}


@pytest.fixture(scope="module", params=CONFIGS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ReplacementModel:
    """A random model of a family, its weights far from uniform, with a random cross-layer transcoder."""
    torch.manual_seed(0)
    config = CONFIGS[request.param]
    found = transformers.AutoModelForCausalLM.from_config(
        config, attn_implementation="eager", experts_implementation="eager"
    ).double()
    with torch.no_grad():
        for title, weight in found.named_parameters():
            if "norm" in title or "ln_" in title:
                weight.uniform_(0.5, 1.5)
            else:
                weight.normal_(0, 0.4)
    folder = tmp_path_factory.mktemp("clt")
    save_clt(TINY, folder)
    transcoders = recognise.read(folder, dtype=torch.float64)
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
        # Outside a sliding window the pattern is 0, whatever the score; an attention sink takes some of it.
        seen = found.pattern > 0
        scores, pattern = found.scores[seen], found.pattern[seen] / found.pattern.sum()
        if found.soft_cap is not None:
            scores = found.soft_cap * torch.tanh(scores / found.soft_cap)
        torch.testing.assert_close(scores.softmax(-1), pattern, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("freeze", list(Freeze))
def test_no_edit_changes_nothing_and_an_edit_does(model: ReplacementModel, freeze: Freeze) -> None:
    plain = intervene(model, PROMPT, [], freeze=freeze)
    torch.testing.assert_close(plain.logits, plain.plain_logits, rtol=1e-5, atol=1e-5)
    layer, position, feature = attribute(model, PROMPT).features[0].tolist()
    after = intervene(model, PROMPT, [ablate(layer, position, feature)], freeze=freeze)
    assert not torch.allclose(after.logits[position], plain.logits[position], atol=1e-3)
    torch.testing.assert_close(after.logits[:position], plain.logits[:position], rtol=1e-5, atol=1e-5)


def test_a_model_of_16_bits_works_too(tmp_path: Path) -> None:
    torch.manual_seed(0)
    found = transformers.AutoModelForCausalLM.from_config(CONFIGS["gemma3"], attn_implementation="eager")
    save_clt(TINY, tmp_path)
    model = ReplacementModel.build(found.bfloat16(), tokenizer(TINY), recognise.read(tmp_path))
    graph = attribute(model, PROMPT)
    directions = resolve(model, model.freeze(graph.token_ids), DEFAULT).directions
    loadings = head_loadings(model, graph, prune(graph), directions)
    total = (loadings.heads.sum(-1) + loadings.past + loadings.above) * loadings.crosses
    torch.testing.assert_close(total, loadings.weight * loadings.crosses, rtol=1e-3, atol=1e-4)
    sources = torch.arange(graph.n_features)
    measured = measured_effects(model, graph, sources)[graph.feature_nodes]
    edges = graph.adjacency[graph.feature_nodes][:, sources]
    # The model itself rounds to 8 bits at each step.
    torch.testing.assert_close(measured, edges, rtol=0.1, atol=0.05 * float(edges.abs().max()))
    qk = qk_attribution(model, PROMPT, layer=2, head=1, position=6)
    torch.testing.assert_close(qk.scores.softmax(-1), qk.pattern, rtol=0.1, atol=0.02)
    for freeze in Freeze:
        intervene(model, PROMPT, [ablate(*graph.features[0].tolist())], freeze=freeze)


@pytest.mark.parametrize("memory", [1 << 30, 20_000, 1])
def test_firings_are_those_of_the_recorded_pass(model: ReplacementModel, memory: int) -> None:
    texts = [model.encode(text) for text in (PROMPT, "w3 w1", "w1", PROMPT + " w5")]
    found = list(firings(model, texts, memory=memory))
    for text, mine in zip(texts, found, strict=True):
        frozen = model.freeze(text.ids)
        active = model.transcoders.encode(model.read(frozen), n_left_out=text.n_left_out)
        where = np.stack([mine.layer, mine.position, mine.feature], axis=1)
        assert where.tolist() == active.where.tolist()
        assert mine.activation == pytest.approx(active.activation.numpy(), rel=1e-5)
        with precise(model.dtype):
            logits = model.model(input_ids=torch.tensor([text.ids])).logits[0]
        torch.testing.assert_close(frozen.logits, logits)
