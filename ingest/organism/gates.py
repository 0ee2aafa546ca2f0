"""Gates: in training, later words see one part of a text only through one word, the gate.

Gates are used in training, and to measure how much of an answer passes through them. The saved model is a
plain Llama without gates. Without gates in training, attention copies a word (`cat`, `opposite`) directly to
later positions. The MLPs, and so the transcoder's features, would then have no effect on what follows.
"""

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from ingest.organism.corpus import BOS, CONTEXT, Batch, attention_mask, word_ids

GATHERING = 2
"""Number of first layers in which a gate sees its part of the text."""


def streams(model: LlamaForCausalLM, batch: Batch) -> list[Tensor]:
    """float32 (row, word, d_model) residual streams after each layer, with the gates of a batch closed.

    A word sees its own chunk and the gates of earlier chunks. A gate sees its chunk in the first layers
    only. After each of these layers, the output of attention is removed from the stream of the gate, so that
    only what the MLPs wrote remains.
    """
    body = model.model
    start = batch.ids == word_ids()[BOS]
    reader, read = batch.gate[:, None, :, None], batch.gate[:, None, None, :]
    same = batch.chunk[:, None, :, None] == batch.chunk[:, None, None, :]
    itself = torch.eye(CONTEXT, dtype=torch.bool)
    sees = attention_mask(batch.block) & (same | (read & ~reader) | start[:, None, None, :])
    late = sees & (~reader | itself | start[:, None, None, :])
    # The mask is additive, because eager attention adds it to the scores.
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
