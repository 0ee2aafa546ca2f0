"""The tokenizer of the bundled model."""

from ingest.organism.corpus import BOS, questions, vocabulary, word_ids
from ingest.organism.families.example import HELD_OUT
from tests.support.organism import tokenizer


def test_vocabulary_begins_with_special_words_and_numbers():
    words = vocabulary()
    assert words[:5] == ("<bos>", "<end>", "<unk>", "<pad>", "0")
    assert words[4 + 198] == "198"
    assert len(set(words)) == len(words)


def test_tokenizer_round_trip():
    ids = tokenizer()("calc : 36 + 59 =").input_ids
    assert tokenizer().convert_ids_to_tokens(ids) == [BOS, "calc", ":", "36", "+", "59", "="]
    assert tokenizer().decode(ids, skip_special_tokens=True) == "calc : 36 + 59 ="
    assert tokenizer()("Calc: 36+59=").input_ids == ids
    assert tokenizer()("the zebra").input_ids[-1] == tokenizer().unk_token_id
    assert (tokenizer().bos_token, tokenizer().eos_token) == ("<bos>", "<end>")
    assert tokenizer().get_vocab() == word_ids()


def test_every_corpus_word_is_one_token():
    for group in questions(HELD_OUT).values():
        for q in group[:50]:
            assert tokenizer()(" ".join(q.prompt)).input_ids == [word_ids()[w] for w in (BOS, *q.prompt)]
