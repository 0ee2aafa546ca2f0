"""Gemma 2 and the text-only Gemma 3.

RMSNorms with a gain of 1 + w stand before and after attention and MLP. Embeddings are scaled.

Frozen parts are those of Llama and the scales of the norms after attention and MLP. Soft caps on attention
scores only shape the pattern. Features read at the MLP's input and write after the norm that follows the MLP
(TransformerLens's hook_mlp_out, as the published transcoders do). A soft cap on the final logits is ignored
for targets, which are linear before it. Probabilities are the model's own and include it.

    Gemma2ForCausalLM, Gemma3ForCausalLM
"""

from typing import Any

from ingest.engine.adapters.anatomy import Anatomy, FrozenAttention, Layer, Norm, wide
from ingest.engine.adapters.llama import attention


def gemma(model: Any) -> Anatomy:
    """The anatomy of a Gemma 2 or a text-only Gemma 3."""
    body, config = model.model, model.config
    return Anatomy(
        embedding=body.embed_tokens,
        layers=tuple(_layer(layer, config) for layer in body.layers),
        final_norm=_norm(body.norm),
        unembedding=model.lm_head.weight.detach(),
        context=config.max_position_embeddings,
        logit_cap=config.final_logit_softcapping,
    )


def _layer(layer: Any, config: Any) -> Layer:
    post, plain = _norm(layer.post_attention_layernorm), attention(layer.self_attn, config)
    return Layer(
        attention_norm=_norm(layer.input_layernorm),
        attention=FrozenAttention(
            module=plain.module,
            mix=plain.mix,
            value=plain.value,
            output=plain.output * post.weight[:, None],
            own_output=plain.output,
        ),
        mlp_norm=_norm(layer.pre_feedforward_layernorm),
        mlp=layer.post_feedforward_layernorm,
        mlp_post=True,
        attention_post=post,
    )


def _norm(norm: Any) -> Norm:
    return Norm(module=norm, weight=1 + wide(norm.weight), epsilon=norm.eps)
