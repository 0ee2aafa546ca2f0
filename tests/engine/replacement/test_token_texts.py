"""The texts of tokens, in vocabularies of SentencePiece, of bytes and of words."""

import re

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from ingest.engine.replacement.token_texts import token_texts
from tests.support.gguf_files import byte_level_tokenizer

SPLIT = "Ünïcödé 日本語 🙂 is"


@pytest.fixture(scope="module")
def sentencepiece() -> PreTrainedTokenizerFast:
    """Llama 2's decoder, which drops the space at the start of a text."""
    words = ["<unk>", "▁Rome", "Rome", "▁", "▁▁", "<0x0A>", "<0xE6>", "<0x97>", "<0xA5>", "<0xFF>"]
    core = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    core.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>")


def test_a_leading_space_belongs_to_the_token(sentencepiece: PreTrainedTokenizerFast) -> None:
    assert sentencepiece.decode([1]) == sentencepiece.decode([2]) == "Rome"
    assert token_texts(sentencepiece, range(1, 6)) == (" Rome", "Rome", " ", "  ", "\n")


def test_bytes_are_shown_as_parts_of_their_character(sentencepiece: PreTrainedTokenizerFast) -> None:
    assert token_texts(sentencepiece, [6, 7, 8, 1]) == ("日[1/3]", "日[2/3]", "日[3/3]", " Rome")
    assert token_texts(sentencepiece, [6]) == ("<0xE6>",)
    assert token_texts(sentencepiece, [9, 6, 7, 8]) == ("<0xFF>", "日[1/3]", "日[2/3]", "日[3/3]")


def test_byte_level_tokens_give_back_the_text() -> None:
    tokenizer = byte_level_tokenizer(300)
    ids = tokenizer(SPLIT)["input_ids"]
    found = token_texts(tokenizer, ids)
    assert "\ufffd" not in "".join(found)
    assert "".join(str(tokenizer.decode([token])) for token in ids).count("\ufffd") > 10
    # The first part of a character stands for all of them.
    assert re.sub(r".\[([2-9])/\d\]", "", re.sub(r"\[1/\d\]", "", "".join(found))) == SPLIT


def test_a_token_may_hold_the_start_of_a_character() -> None:
    core = Tokenizer(models.WordLevel({"ĠðŁ": 0, "ĻĤ": 1}, unk_token="ĠðŁ"))
    core.decoder = decoders.ByteLevel()
    core.pre_tokenizer = pre_tokenizers.ByteLevel()
    assert token_texts(PreTrainedTokenizerFast(tokenizer_object=core), [0, 1]) == (" 🙂[1/2]", "🙂[2/2]")


def test_words_without_a_decoder_stay_as_they_are() -> None:
    core = Tokenizer(models.WordLevel({"▁Rome": 0, "\ufffd日": 1}, unk_token="▁Rome"))
    assert token_texts(PreTrainedTokenizerFast(tokenizer_object=core), [0, 1]) == ("▁Rome", "\ufffd日")
