"""Llama and those built like it: RMSNorm, rotary positions, grouped queries, x + attention, then + MLP.

Frozen: attention patterns, so also rotary positions, sliding windows, queries' and keys' norms and attention
sinks, which only make the pattern; the scales of both norms and of the last one; MLPs, a mixture of experts
with its router included, are boxes that features read at the input and write at the output.

    LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM, GptOssForCausalLM
"""

from typing import Any

from ingest.engine.adapters.anatomy import Anatomy, Attention, Layer, Norm, wide


def llama(model: Any) -> Anatomy:
    """The anatomy of a model with Llama's names."""
    body, config = model.model, model.config
    return Anatomy(
        embedding=body.embed_tokens,
        layers=tuple(_layer(layer, config) for layer in body.layers),
        final_norm=_norm(body.norm),
        unembedding=model.lm_head.weight.detach(),
        context=config.max_position_embeddings,
    )


def attention(module: Any, config: Any) -> Attention:
    """An attention module with `v_proj` and `o_proj`."""
    value, output = wide(module.v_proj.weight), wide(module.o_proj.weight)
    d_model = value.shape[1]
    return Attention(
        module=module,
        mix=module.o_proj,
        value=value.view(config.num_key_value_heads, -1, d_model),
        output=output.view(d_model, config.num_attention_heads, -1).transpose(0, 1),
    )


def _layer(layer: Any, config: Any) -> Layer:
    return Layer(
        attention_norm=_norm(layer.input_layernorm),
        attention=attention(layer.self_attn, config),
        mlp_norm=_norm(layer.post_attention_layernorm),
        mlp=layer.mlp,
    )


def _norm(norm: Any) -> Norm:
    return Norm(module=norm, weight=wide(norm.weight), epsilon=norm.variance_epsilon)
