"""Small random models of every architecture, and their attribution by autograd through the real modules."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
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
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from ingest.engine.transcoders.transcoder import Transcoder, TranscoderSet
from tests.support.engine import gradients

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
