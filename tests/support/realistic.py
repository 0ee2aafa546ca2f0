"""A model of the shape of real ones, with random weights: byte-level tokens, chat template, 12 layers.

The tokenizer is trained on Python's own standard library, which is wherever the tests run.
"""

import os
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from ingest.engine.transcoders.save import save
from ingest.engine.transcoders.transcoder import Transcoder, TranscoderSet
from tests.support.engine import Folders

N_TOKENS = 30_000
N_LAYERS, D_MODEL, N_FEATURES = 12, 16, 24
ANSWERS = ("self", "name", "value", "None", "path", "line")
"""The words, with a space before them, that the model answers with."""
START, END = "<|im_start|>", "<|im_end|>"
TEXTS = sorted(Path(os.__file__).parent.glob("*.py"))
CHAT = (
    "{% for each in messages %}"
    f"{START}{{{{ each.role }}}}\n{{{{ each.content }}}}{END}\n"
    f"{{% endfor %}}{{% if add_generation_prompt %}}{START}assistant\n{{% endif %}}"
)


def realistic(folder: Path) -> Folders:
    """Write the model, its tokenizer and per-layer transcoders as users have them."""
    made = Folders(folder / "lm", folder / "plt")
    tokenizer = _tokenizer()
    tokenizer.save_pretrained(made.model)
    answers = [tokenizer.get_vocab()[f"Ġ{word}"] for word in ANSWERS]
    _model(answers).save_pretrained(made.model)
    save(_transcoders(), made.transcoders)
    return made


def _tokenizer() -> PreTrainedTokenizerFast:
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=N_TOKENS,
        special_tokens=[START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train([str(path) for path in TEXTS], trainer)
    assert core.get_vocab_size() == N_TOKENS
    found = PreTrainedTokenizerFast(tokenizer_object=core, bos_token=START, eos_token=END)
    found.chat_template = CHAT
    return found


def _model(answers: list[int]) -> LlamaForCausalLM:
    """answers: ids of the tokens that the model nearly always says."""
    config = LlamaConfig(
        vocab_size=N_TOKENS,
        hidden_size=D_MODEL,
        intermediate_size=32,
        num_hidden_layers=N_LAYERS,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=128,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=None,
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" not in name:
                weight.normal_(0, 0.3)
        model.lm_head.weight[answers] *= 30
    return model


def _transcoders() -> TranscoderSet:
    random = torch.Generator().manual_seed(1)

    def normal(*size: int) -> torch.Tensor:
        return torch.randn(*size, generator=random) * 0.3

    layers = tuple(
        Transcoder(
            encoder=normal(N_FEATURES, D_MODEL),
            encoder_bias=normal(N_FEATURES),
            decoder=normal(N_FEATURES, 1, D_MODEL),
            decoder_bias=normal(D_MODEL),
            threshold=normal(N_FEATURES).abs() + 0.3,
        )
        for _ in range(N_LAYERS)
    )
    return TranscoderSet(layers, "realistic-plt", "mlp.hook_in", "hook_mlp_out", "realistic")
