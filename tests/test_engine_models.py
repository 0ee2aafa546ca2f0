"""Every architecture's edges against autograd through the real modules of transformers.

The oracle shares nothing with the adapters. It runs the Hugging Face model itself with three functions of
torch replaced for the time of one pass: what softmax, rsqrt and layer_norm's deviation give is detached, so
patterns and scales are constants; and MLPs are replaced by features plus error with a multiplier of one on
every source.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest
import torch
from engine_oracle import Tiny, gradients, tokenizer
from torch import Tensor
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    GptOssConfig,
    GptOssForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from ingest.engine.attribution.attribute import attribute
from ingest.engine.errors import FitError, ModelError
from ingest.engine.replacement.model import ReplacementModel
from ingest.engine.transcoders.transcoder import Transcoder, TranscoderSet

N_LAYERS, D_MODEL, N_FEATURES = 3, 16, 10
IDS = (0, 6, 4, 7, 4, 8, 12, 5, 9)
"""Longer than the sliding windows below."""
BASE: dict[str, Any] = {
    "vocab_size": 40,
    "hidden_size": D_MODEL,
    "intermediate_size": 24,
    "num_hidden_layers": N_LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 6,
    "max_position_embeddings": 16,
    "pad_token_id": None,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "attn_implementation": "eager",
}
NEOX = {key: value for key, value in BASE.items() if key not in ("num_key_value_heads", "head_dim")}
WINDOWS = ["sliding_attention", "full_attention", "sliding_attention"]
GEMMA = BASE | {"query_pre_attn_scalar": 7, "sliding_window": 4, "pad_token_id": 0}
MODELS: dict[str, tuple[type, Any]] = {
    "mistral": (MistralForCausalLM, MistralConfig(**BASE, sliding_window=4)),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config(**(BASE | {"head_dim": 4}))),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config(**BASE, tie_word_embeddings=True)),
    "gemma2": (
        Gemma2ForCausalLM,
        Gemma2Config(**GEMMA, attn_logit_softcapping=2.0, final_logit_softcapping=3.0),
    ),
    "gemma3": (Gemma3ForCausalLM, Gemma3TextConfig(**GEMMA, layer_types=WINDOWS)),
    "gpt-oss": (
        GptOssForCausalLM,
        GptOssConfig(
            **BASE,
            num_local_experts=3,
            num_experts_per_tok=2,
            sliding_window=4,
            layer_types=WINDOWS,
        ),
    ),
    "gpt2": (
        GPT2LMHeadModel,
        GPT2Config(
            vocab_size=40,
            n_positions=16,
            n_embd=D_MODEL,
            n_layer=N_LAYERS,
            n_head=4,
        ),
    ),
    "gpt-neox": (
        GPTNeoXForCausalLM,
        GPTNeoXConfig(**NEOX, use_parallel_residual=False),
    ),
    "gpt-neox, parallel": (
        GPTNeoXForCausalLM,
        GPTNeoXConfig(**NEOX, use_parallel_residual=True),
    ),
}  # fmt: skip
READ_AT = ("mlp.hook_in", "hook_resid_mid", "ln2.hook_normalized")


def random_model(name: str, dtype: torch.dtype = torch.float64) -> Any:
    """Weights large enough that patterns, norms and routers are far from uniform; no bias is zero."""
    kind, config = MODELS[name]
    torch.manual_seed(0)
    # The fused product of a mixture of experts does not take float64.
    config._experts_implementation = config._attn_implementation = "eager"
    model = kind(config)
    with torch.no_grad():
        for parameter_name, weight in model.named_parameters():
            if "norm" in parameter_name or "ln_" in parameter_name:
                weight.uniform_(-0.4, 0.6) if "gemma" in name else weight.uniform_(0.5, 1.5)
            else:
                weight.normal_(0, 0.4)
    return model.to(dtype).eval()


def random_transcoders(
    read_at: str, *, cross_layer: bool, dtype: torch.dtype = torch.float64
) -> TranscoderSet:
    random = torch.Generator().manual_seed(1)

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=random, dtype=torch.float64).to(dtype) * 0.5

    layers = tuple(
        Transcoder(
            encoder=normal(N_FEATURES, D_MODEL),
            encoder_bias=normal(N_FEATURES),
            decoder=normal(N_FEATURES, N_LAYERS - layer if cross_layer else 1, D_MODEL),
            decoder_bias=normal(D_MODEL),
            threshold=normal(N_FEATURES).abs(),
        )
        for layer in range(N_LAYERS)
    )
    return TranscoderSet(layers, "random", read_at, "hook_mlp_out")


class Slow(NamedTuple):
    """What the oracle found."""

    features: list[tuple[int, int, int]]
    adjacency: Tensor


def parts(model: Any) -> tuple[Any, list[tuple[Any, Any]], Any]:
    """The module that gives the first residual stream, of each layer (norm before the MLP, what adds to the
    stream), and the last norm: by the names of transformers."""
    if isinstance(model, GPT2LMHeadModel):
        body: Any = model.transformer
        return body.drop, [(block.ln_2, block.mlp) for block in body.h], body.ln_f
    if isinstance(model, GPTNeoXForCausalLM):
        body = model.gpt_neox
        layers = [(layer.post_attention_layernorm, layer.mlp) for layer in body.layers]
        return body.emb_dropout, layers, body.final_layer_norm
    body = model.model
    if "Gemma" in type(model).__name__:
        layers = [
            (layer.pre_feedforward_layernorm, layer.post_feedforward_layernorm) for layer in body.layers
        ]
    else:
        layers = [(layer.post_attention_layernorm, layer.mlp) for layer in body.layers]
    return body.embed_tokens, layers, body.norm


@contextmanager
def frozen() -> Iterator[None]:
    """Patterns and norm scales are constants to autograd, and float32 is nowhere."""
    softmax, rsqrt, to = torch.nn.functional.softmax, torch.rsqrt, torch.Tensor.to

    def double(values: tuple[Any, ...]) -> list[Any]:
        return [torch.float64 if value is torch.float32 else value for value in values]

    def layer_norm(x: Tensor, shape: Any, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        return centred * rsqrt(centred.detach().pow(2).mean(-1, keepdim=True) + eps) * weight + bias

    with (
        patch("torch.nn.functional.softmax", lambda x, dim=-1, dtype=None: softmax(x, dim=dim).detach()),
        patch(
            "torch.Tensor.to",
            lambda x, *a, **k: to(x, *double(a), **dict(zip(k, double((*k.values(),)), strict=True))),
        ),
        patch("torch.Tensor.float", torch.Tensor.double),
        patch("torch.rsqrt", lambda x: rsqrt(x).detach()),
        patch("torch.nn.functional.layer_norm", layer_norm),
    ):
        yield


def attribute_slowly(model: Any, transcoders: TranscoderSet, logit_ids: list[int]) -> Slow:
    """One gradient a node."""
    embedding, layers, final_norm = parts(model)
    n_positions, dtype = len(IDS), model.dtype
    plain: list[Tensor] = []
    hooks = [
        mlp.register_forward_hook(
            lambda m, i, o: plain.append((o[0] if isinstance(o, tuple) else o)[0].detach())
        )
        for _, mlp in layers
    ]
    reads: list[Tensor] = []

    def keep_read(module: Any, given: Any, output: Tensor) -> None:
        x = given[0][0]
        if transcoders.read_at == "hook_resid_mid":
            reads.append(x)
        elif transcoders.read_at == "mlp.hook_in":
            reads.append(output[0])
        else:
            centred = x - x.mean(-1, keepdim=True) if isinstance(module, torch.nn.LayerNorm) else x
            eps = getattr(module, "variance_epsilon", getattr(module, "eps", None))
            size = centred.detach().pow(2).mean(-1, keepdim=True) + eps
            reads.append(centred * size.rsqrt())

    hooks += [norm.register_forward_hook(keep_read) for norm, _ in layers]
    with torch.no_grad(), frozen():
        model(torch.tensor([IDS]))
    for hook in hooks:
        hook.remove()
    # Which features fire, and how strongly.
    features, strengths = [], []
    for number, layer in enumerate(transcoders.layers):
        before = reads[number] @ layer.encoder.T + layer.encoder_bias
        assert layer.threshold is not None
        fires = before > layer.threshold
        fires[0] = False
        features += [(number, position, index) for position, index in fires.nonzero().tolist()]
        strengths.append(before[fires].detach())
    activation = torch.cat(strengths)
    at_layer, positions, indices = torch.tensor(features).unbind(1)
    by_feature = torch.ones(len(features), dtype=dtype, requires_grad=True)
    by_error = torch.ones(N_LAYERS, n_positions, dtype=dtype, requires_grad=True)
    by_token = torch.ones(n_positions, dtype=dtype, requires_grad=True)
    reads.clear()
    final: list[Tensor] = []

    def write(number: int) -> Any:
        def hook(module: Any, given: Any, output: Any) -> Any:
            written = transcoders.layers[number].decoder_bias.repeat(n_positions, 1)
            for below in range(number + 1):
                decoder, mine = transcoders.layers[below].decoder, at_layer == below
                if number - below < decoder.shape[1]:
                    sizes = activation[mine] * by_feature[mine]
                    vectors = decoder[indices[mine], number - below] * sizes[:, None]
                    written = written.index_add(0, positions[mine], vectors)
            error = (plain[number] - written).detach()
            # The special first token keeps what its MLP wrote, as no node's effect.
            first = torch.arange(n_positions)[:, None] == 0
            written = torch.where(first, plain[number], written + error * by_error[number][:, None])[None]
            return (written, *output[1:]) if isinstance(output, tuple) else written

        return hook

    hooks = [mlp.register_forward_hook(write(number)) for number, (_, mlp) in enumerate(layers)]
    hooks += [norm.register_forward_hook(keep_read) for norm, _ in layers]
    hooks.append(embedding.register_forward_hook(lambda m, i, o: o.detach() * by_token[:, None]))
    hooks.append(final_norm.register_forward_hook(lambda m, i, o: final.append(o[0, -1])))
    with frozen():
        model(torch.tensor([IDS]))
    for hook in hooks:
        hook.remove()
    rows = [
        (read[positions[at_layer == number]] * layer.encoder[indices[at_layer == number]]).sum(1)
        for number, (read, layer) in enumerate(zip(reads, transcoders.layers, strict=True))
    ]
    unembedding = model.lm_head.weight.detach()
    rows.append((unembedding[logit_ids] - unembedding.mean(0)) @ final[0])
    n_inputs = len(features) + (N_LAYERS + 1) * n_positions
    adjacency = torch.zeros(n_inputs + len(logit_ids), n_inputs + len(logit_ids), dtype=dtype)
    found = gradients(torch.cat(rows), (by_feature, by_error, by_token))
    adjacency[: len(features), :n_inputs] = found[: len(features)]
    adjacency[n_inputs:, :n_inputs] = found[len(features) :]
    return Slow(features, adjacency)


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
    with pytest.raises(FitError, match="2 layers"):
        ReplacementModel.build(wide, tokenizer(Tiny()), short)


def test_writing_before_the_norm_behind_an_mlp_is_refused() -> None:
    layers = random_transcoders("mlp.hook_in", cross_layer=True).layers
    transcoders = TranscoderSet(layers, "random", "mlp.hook_in", "mlp.hook_out")
    with pytest.raises(FitError, match="hook_mlp_out"):
        ReplacementModel.build(random_model("gemma2"), tokenizer(Tiny()), transcoders)
    ReplacementModel.build(random_model("qwen3"), tokenizer(Tiny()), transcoders)
