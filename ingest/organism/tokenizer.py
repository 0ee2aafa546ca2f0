"""The tokenizer in the format of transformers: one token for each word, `<unk>` for unknown words."""

import json
from pathlib import Path

from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordLevel
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from ingest.organism.corpus import BOS, CONTEXT, END, PAD, UNKNOWN, word_ids


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Build a tokenizer that lower-cases, splits at spaces and punctuation, and adds `<bos>` in front.

    Decoding joins words with spaces.
    """
    ids = word_ids()
    core = Tokenizer(WordLevel(ids, unk_token=UNKNOWN))
    core.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    # With this, "36+59=" and "why?" are read like the corpus. Hyphens stay: us-tx and little-rock are words.
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Split(Regex('[.,:?+=/"]'), behavior="isolated"),
        ]
    )
    core.post_processor = TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, ids[BOS])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token=BOS,
        eos_token=END,
        unk_token=UNKNOWN,
        pad_token=PAD,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )


def save_tokenizer(folder: Path) -> None:
    """Write the files of the tokenizer so that transformers 4 and 5 can read them."""
    build_tokenizer().save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    # Version 5 writes a class name that version 4 does not have. Both have this one.
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
