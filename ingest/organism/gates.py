"""The model with its sight narrowed to gates: what a text says in one part must pass through one word.

Used in training only, and to measure how much of an answer comes that way; the saved model is a plain Llama.
Without it, attention carries a word (`cat`, `opposite`) past everything that MLPs made of it, and features,
which are of MLPs, have no part in what follows.
"""

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from ingest.organism.corpus import BOS, CONTEXT, Batch, attention_mask, word_ids

GATHERING = 2
"""First layers, in which a gate sees its part of the text."""


def streams(model: LlamaForCausalLM, batch: Batch) -> list[Tensor]:
    """float32 (row, word, d_model) streams after each layer; in narrowed examples, words see less.

    A word sees its own chunk, and the gates of earlier ones. A gate sees its chunk in the first layers only,
    and its stream loses what attention brought after each: what MLPs wrote of it is all that stays.
    """
    body = model.model
    start = batch.ids == word_ids()[BOS]
    reader, read = batch.gate[:, None, :, None], batch.gate[:, None, None, :]
    same = batch.chunk[:, None, :, None] == batch.chunk[:, None, None, :]
    itself = torch.eye(CONTEXT, dtype=torch.bool)
    sees = attention_mask(batch.block) & (same | (read & ~reader) | start[:, None, None, :])
    late = sees & (~reader | itself | start[:, None, None, :])
    # Additive rather than boolean: eager attention adds the mask to its scores.
    lowest = torch.finfo(torch.float32).min
    masks = [torch.zeros(1).masked_fill(~allowed, lowest) for allowed in (sees, late)]
    stream = body.embed_tokens(batch.ids)
    angles = body.rotary_emb(stream, torch.arange(batch.ids.shape[1])[None])
    found = []
    for number, layer in enumerate(body.layers):
        mask = masks[number >= GATHERING]
        moved, _ = layer.self_attn(
            hidden_states=layer.input_layernorm(stream), position_embeddings=angles, attention_mask=mask
        )
        stream = stream + moved
        stream = stream + layer.mlp(layer.post_attention_layernorm(stream))
        if number < GATHERING:
            stream = stream - moved * batch.gate[..., None]
        found.append(stream)
    return found
