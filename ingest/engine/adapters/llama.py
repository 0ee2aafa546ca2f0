"""Llama and models of the same structure: RMSNorm, rotary positions, grouped queries, attention before MLP.

Frozen parts are:
- attention patterns, and with them everything that only shapes the pattern: rotary positions, sliding
  windows, norms of queries and keys, and attention sinks;
- the scales of both norms of a layer and of the last norm;
- MLPs. Features read at the input of the MLP and write at its output. A mixture of experts, including its
  router, is treated as one MLP.

    LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM, GptOssForCausalLM
"""

from typing import Any

from ingest.engine.adapters.anatomy import Anatomy, FrozenAttention, Layer, Norm, wide


def llama(model: Any) -> Anatomy:
    """The anatomy of a model whose modules have Llama's names."""
    body, config = model.model, model.config
    return Anatomy(
        embedding=body.embed_tokens,
        layers=tuple(_layer(layer, config) for layer in body.layers),
        final_norm=_norm(body.norm),
        unembedding=model.lm_head.weight.detach(),
        context=config.max_position_embeddings,
    )


def attention(module: Any, config: Any) -> FrozenAttention:
    """The frozen attention of a module with `v_proj` and `o_proj`."""
    value, output = wide(module.v_proj.weight), wide(module.o_proj.weight)
    d_model = value.shape[1]
    return FrozenAttention(
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
