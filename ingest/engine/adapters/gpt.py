"""GPT-2 and GPT-NeoX: LayerNorm and biases everywhere.

Frozen parts are attention patterns, norm scales and MLPs. The means of the norms are linear and stay. Biases
are constants, and no node represents them. GPT-2's position embeddings are part of the token nodes. In a
GPT-NeoX with parallel residuals the MLP reads the same stream as attention, so a feature of layer l does not
see what the attention of layer l writes.

    GPT2LMHeadModel, GPTNeoXForCausalLM
"""

from typing import Any

from ingest.engine.adapters.anatomy import Anatomy, FrozenAttention, Layer, Norm, wide


def gpt2(model: Any) -> Anatomy:
    """The anatomy of a `GPT2LMHeadModel`."""
    body = model.transformer
    return Anatomy(
        embedding=body.drop,
        layers=tuple(_gpt2_layer(block) for block in body.h),
        final_norm=_norm(body.ln_f),
        unembedding=model.lm_head.weight.detach(),
        context=model.config.n_positions,
    )


def gpt_neox(model: Any) -> Anatomy:
    """The anatomy of a `GPTNeoXForCausalLM`."""
    body = model.gpt_neox
    return Anatomy(
        embedding=body.emb_dropout,
        layers=tuple(_neox_layer(layer) for layer in body.layers),
        final_norm=_norm(body.final_layer_norm),
        unembedding=model.lm_head.weight.detach(),
        context=model.config.max_position_embeddings,
    )


def _gpt2_layer(block: Any) -> Layer:
    n_heads = block.attn.num_heads
    # Conv1D stores its weights as (in, out), with query, key and value side by side.
    value = wide(block.attn.c_attn.weight).chunk(3, dim=1)[2]
    output = wide(block.attn.c_proj.weight)
    d_model = len(value)
    return Layer(
        attention_norm=_norm(block.ln_1),
        attention=FrozenAttention(
            module=block.attn,
            mix=block.attn.c_proj,
            value=value.T.reshape(n_heads, -1, d_model),
            output=output.view(n_heads, -1, d_model).transpose(1, 2),
        ),
        mlp_norm=_norm(block.ln_2),
        mlp=block.mlp,
    )


def _neox_layer(layer: Any) -> Layer:
    part = layer.attention
    weight, output = wide(part.query_key_value.weight), wide(part.dense.weight)
    d_model = weight.shape[1]
    return Layer(
        attention_norm=_norm(layer.input_layernorm),
        attention=FrozenAttention(
            module=part,
            mix=part.dense,
            # The query, key and value of one head are adjacent.
            value=weight.view(-1, 3, part.head_size, d_model)[:, 2],
            output=output.view(d_model, -1, part.head_size).transpose(0, 1),
        ),
        mlp_norm=_norm(layer.post_attention_layernorm),
        mlp=layer.mlp,
        parallel=bool(layer.use_parallel_residual),
    )


def _norm(norm: Any) -> Norm:
    return Norm(module=norm, weight=wide(norm.weight), epsilon=norm.eps, centred=True)
