"""`LlamaForCausalLM`: RMSNorm, rotary positions, grouped queries, optional biases, tied or untied
embeddings."""

from typing import Any

from ingest.engine.adapters.anatomy import Anatomy, Attention, Layer, Norm


def llama(model: Any) -> Anatomy:
    """The anatomy of a `LlamaForCausalLM`."""
    body, config = model.model, model.config
    return Anatomy(
        embedding=body.embed_tokens,
        layers=tuple(_layer(layer, config) for layer in body.layers),
        final_norm=_norm(body.norm),
        unembedding=model.lm_head.weight.detach(),
        context=config.max_position_embeddings,
    )


def _layer(layer: Any, config: Any) -> Layer:
    attention = layer.self_attn
    n_heads, n_groups = config.num_attention_heads, config.num_key_value_heads
    value, output = attention.v_proj.weight.detach(), attention.o_proj.weight.detach()
    d_model = value.shape[1]
    return Layer(
        attention_norm=_norm(layer.input_layernorm),
        attention=Attention(
            module=attention,
            value=value.view(n_groups, -1, d_model),
            output=output.view(d_model, n_heads, -1).transpose(0, 1),
        ),
        mlp_norm=_norm(layer.post_attention_layernorm),
        mlp=layer.mlp,
    )


def _norm(norm: Any) -> Norm:
    return Norm(module=norm, weight=norm.weight.detach(), epsilon=norm.variance_epsilon)
