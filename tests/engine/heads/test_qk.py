"""QK attributions: pairs sum to the score that the model computed, and each part is what a node wrote."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from ingest.engine.adapters.queries import queries
from ingest.engine.errors import SettingError
from ingest.engine.heads.qk import QkAttribution, QkSource, qk_attribution
from ingest.engine.replacement.model import ReplacementModel
from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR
from tests.support.engine import PROMPT, Tiny, save


def check(found: QkAttribution, tolerance: float = 1e-5) -> None:
    """Pairs sum to the scores, and the scores give the pattern that the model's own softmax gave."""
    for key in range(found.position + 1):
        torch.testing.assert_close(
            found.pairs(key).sum(), found.scores[key], rtol=tolerance, atol=tolerance * 10
        )
    capped = found.scores
    if found.soft_cap is not None:
        capped = found.soft_cap * torch.tanh(capped / found.soft_cap)
    torch.testing.assert_close(capped.softmax(-1), found.pattern, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "tiny", [Tiny(), Tiny(n_groups=2, biases=True), Tiny(special=False)], ids=["plain", "grouped", "no-first"]
)
def test_pairs_sum_to_the_score(tiny: Tiny, tmp_path: Path) -> None:
    model = ReplacementModel.load(*save(tiny, tmp_path), dtype=torch.float64)
    for layer, head, position in ((0, 3, 6), (1, 0, 5), (2, 2, 6)):
        check(qk_attribution(model, PROMPT, layer=layer, head=head, position=position))


def test_without_biases_nodes_alone_make_the_score(tmp_path: Path) -> None:
    folders = save(Tiny(special=False), tmp_path)
    for path in folders.transcoders.glob("W_enc_*"):
        tensors = load_file(path)
        save_file({n: t * 0 if "b_dec" in n else t for n, t in tensors.items()}, path)
    model = ReplacementModel.load(*folders, dtype=torch.float64)
    found = qk_attribution(model, PROMPT, layer=2, head=1, position=6)
    assert found.sources[-1].kind == "rest"
    for key in range(7):
        torch.testing.assert_close(found.pairs(key)[:-1, :-1].sum(), found.scores[key], rtol=1e-5, atol=1e-6)
    # Later positions and this layer or later ones write nothing into the query.
    for place, source in enumerate(found.sources[:-1]):
        if source.layer >= 2 or source.position > 6:
            assert not found.query_parts[place].any()


def test_a_part_is_what_a_node_put_into_the_query(tmp_path: Path) -> None:
    """The oracle: take a token's embedding away in the frozen linear model, and see the score's change."""
    model = ReplacementModel.load(*save(Tiny(n_groups=2), tmp_path), dtype=torch.float64)
    found = qk_attribution(model, PROMPT, layer=1, head=2, position=5)
    frozen = model.freeze(model.encode(PROMPT).ids)
    part = model.anatomy.layers[0]
    how = queries(model.anatomy.layers[1].attention.module)
    for position in range(6):
        stream = torch.zeros_like(frozen.embedding)
        stream[position] = frozen.embedding[position]
        normed = part.attention_norm.forward(stream, frozen.attention_scale[0])
        stream = stream + part.attention.forward(normed, frozen.pattern[0])
        read = model.anatomy.layers[1].attention_norm.forward(stream, frozen.attention_scale[1])[5]
        token = found.sources.index(QkSource("token", -1, position, frozen.ids[position]))
        # A rotation keeps lengths.
        size = (how.query[2] @ read).norm() * how.scaling
        torch.testing.assert_close(found.query_parts[token].norm(), size, rtol=1e-6, atol=1e-9)


def test_top_pairs_are_the_largest(tmp_path: Path) -> None:
    model = ReplacementModel.load(*save(Tiny(), tmp_path))
    found = qk_attribution(model, PROMPT, layer=2, head=1, position=6)
    matrix = found.pairs(3)
    top = found.top(3, 5)
    assert [abs(pair.score) for pair in top] == sorted(
        (abs(x) for x in matrix.flatten().tolist()), reverse=True
    )[:5]
    for pair in top:
        at = found.sources.index(pair.query), found.sources.index(pair.key)
        assert float(matrix[at]) == pair.score


def test_bundled_model() -> None:
    model = ReplacementModel.load(MODEL_DIR, TRANSCODERS_DIR)
    check(qk_attribution(model, "calc : 66 + 49 =", layer=3, head=1, position=5), 1e-4)


SMALL: dict[str, Any] = {
    "vocab_size": 20,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 32,
}
GROUPED = SMALL | {"num_key_value_heads": 2, "head_dim": 8}
CONFIGS = {
    "GPT2": transformers.GPT2Config(vocab_size=20, n_embd=16, n_layer=2, n_head=4, n_positions=32),
    "GPTNeoX": transformers.GPTNeoXConfig(**(SMALL | {"rotary_pct": 0.5})),
    "Llama": transformers.LlamaConfig(**GROUPED),
    "Mistral": transformers.MistralConfig(**GROUPED),
    "Qwen2": transformers.Qwen2Config(**SMALL, num_key_value_heads=2),
    "Qwen3": transformers.Qwen3Config(**GROUPED),
    "Gemma2": transformers.Gemma2Config(**GROUPED, attn_logit_softcapping=2.0, query_pre_attn_scalar=8),
    "Gemma3": transformers.Gemma3TextConfig(**GROUPED, query_pre_attn_scalar=8),
    "GptOss": transformers.GptOssConfig(**GROUPED, num_local_experts=4, num_experts_per_tok=2),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_queries_and_keys_give_the_pattern_of_every_architecture(name: str) -> None:
    torch.manual_seed(0)
    CONFIGS[name]._attn_implementation = "eager"
    model: Any = transformers.AutoModelForCausalLM.from_config(CONFIGS[name]).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.4)
    modules = [part for part in model.modules() if type(part).__name__.endswith("Attention")]
    seen: list[tuple[Any, Any, Any]] = []

    def keep(module: Any, given: Any, named: Any, output: Any) -> None:
        read = named["hidden_states"] if "hidden_states" in named else given[0]
        seen.append((read[0], named.get("position_embeddings"), output[1][0]))

    handles = [part.register_forward_hook(keep, with_kwargs=True) for part in modules]
    with torch.no_grad():
        model(torch.tensor([[3, 1, 4, 1, 5, 9, 2]]))
    for handle in handles:
        handle.remove()
    assert len(seen) == 2
    for module, (read, rotary, pattern) in zip(modules, seen, strict=True):
        how = queries(module)
        turn = None if rotary is None else (rotary[0][0], rotary[1][0])
        for head in range(4):
            group = how.group(head)
            sides = [
                read @ how.query[head].T + how.query_bias[head],
                read @ how.key[group].T + how.key_bias[group],
            ]
            for number, norm in enumerate((how.query_norm, how.key_norm)):
                if norm is not None:
                    sides[number] = norm.forward(sides[number], norm.scale(sides[number]))
                sides[number] = how.rotate(sides[number], turn)
            scores = sides[0] @ sides[1].T * how.scaling
            if how.soft_cap is not None:
                scores = how.soft_cap * torch.tanh(scores / how.soft_cap)
            scores = scores.masked_fill(torch.ones(7, 7).triu(1).bool(), -torch.inf)
            if hasattr(module, "sinks"):
                scores = torch.cat([scores, module.sinks[head].expand(7, 1)], -1)
            torch.testing.assert_close(scores.softmax(-1)[:, :7], pattern[head], rtol=1e-4, atol=1e-6)


def test_what_does_not_exist_is_named(tmp_path: Path) -> None:
    model = ReplacementModel.load(*save(Tiny(), tmp_path))
    for arguments, message in (
        ((3, 0, 5), "There is no layer 3\n  → use 0 to 2"),
        ((0, 4, 5), "There is no head 4\n  → use 0 to 3"),
        ((0, 0, 8), "Position 8 is outside the prompt\n  → use 0 to 7"),
    ):
        layer, head, position = arguments
        with pytest.raises(SettingError) as caught:
            qk_attribution(model, PROMPT, layer=layer, head=head, position=position)
        assert str(caught.value) == message
    with pytest.raises(SettingError, match="Key position 6 is not visible from position 5"):
        qk_attribution(model, PROMPT, layer=0, head=0, position=5).pairs(6)
