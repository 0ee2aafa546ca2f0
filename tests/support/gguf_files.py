"""Writes tiny models as GGUF files, as llama.cpp's converter does."""

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

TEXT = ("the capital of texas is austin . the capital of france is paris . " * 4, "1 2 3 4 5 6 7 8 9 10")
PROMPT = "the capital of texas is"


def byte_level_tokenizer(vocab_size: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with exactly this many tokens, trained on `TEXT`."""
    core = Tokenizer(models.BPE(unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<bos>", "<unk>", "<end>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(TEXT, trainer)
    assert core.get_vocab_size() == vocab_size
    return PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<bos>", unk_token="<unk>", eos_token="<end>"
    )


def write(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    path: Path,
    *,
    architecture: str = "llama",
    weights: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.F32,
    extra: dict[str, Any] | None = None,
) -> None:
    """Write a Llama with a byte-level tokenizer.

    weights: the type of the matrices; norms are always float32. extra: tensors (arrays) and settings (other
    values) by name, in addition.
    """
    config: Any = model.config
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("tiny")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)
    core = tokenizer.backend_tokenizer
    words = sorted(core.get_vocab(), key=core.get_vocab().__getitem__)
    special = set(tokenizer.all_special_tokens)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(words)
    writer.add_token_types(
        [gguf.TokenType.CONTROL if word in special else gguf.TokenType.NORMAL for word in words]
    )
    writer.add_token_merges([" ".join(pair) for pair in merges(core)])
    writer.add_bos_token_id(0)
    writer.add_unk_token_id(1)
    writer.add_eos_token_id(2)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        array = tensor.numpy()
        for part, heads in (("q_proj", config.num_attention_heads), ("k_proj", config.num_key_value_heads)):
            if part in name:
                array = interleaved(array, heads)
        new = str(names.get_name(name, try_suffixes=(".weight",)))
        kind = weights if array.ndim == 2 else gguf.GGMLQuantizationType.F32
        writer.add_tensor(new, gguf.quantize(array, kind), raw_dtype=kind)
    for key, value in (extra or {}).items():
        if isinstance(value, np.ndarray):
            writer.add_tensor(key, value)
        else:
            writer.add_uint16(key, value)
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def merges(core: Tokenizer) -> list[tuple[str, str]]:
    """The pairs that a BPE tokenizer merges, in order."""
    return [tuple(pair) for pair in json.loads(core.to_str())["model"]["merges"]]


def interleaved(weight: Any, n_heads: int) -> Any:
    """Rows of queries or keys in llama.cpp's order: the halves of each head's rotary pairs side by side."""
    halves = weight.reshape(n_heads, 2, weight.shape[0] // n_heads // 2, weight.shape[1])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(weight.shape))


def dequantised(weight: torch.Tensor, kind: gguf.GGMLQuantizationType) -> torch.Tensor:
    """The numbers that are left of a matrix after it was quantised."""
    return torch.from_numpy(gguf.dequantize(gguf.quantize(weight.numpy(), kind), kind))
