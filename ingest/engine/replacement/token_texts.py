"""The texts of tokens: exact, with leading spaces, and with characters that are split over several tokens.

1. A token is decoded alone.
2. Decoders of SentencePiece drop the space at the start of a text, so `▁Rome` and `Rome` decode alike. The
   space belongs to the token and is put back.
3. Tokens of rare characters hold some of the bytes of a character, and decode to U+FFFD. Where neighbours
   complete the character, the text of each is the character and the part: `日[1/3]`. Other bytes are written
   as `<0xE6>`.
"""

import re
from collections.abc import Sequence
from typing import Any

from transformers.convert_slow_tokenizer import bytes_to_unicode

BYTE_OF = {character: byte for byte, character in bytes_to_unicode().items()}
"""The bytes for which the characters of byte-level vocabularies stand."""
BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")
"""A token that is one byte, in vocabularies of SentencePiece."""
BROKEN = "\ufffd"
"""What decoders write for bytes that are no character."""


def token_text(tokenizer: Any, token: int) -> str:
    """The text of one vocabulary id, without neighbours."""
    return token_texts(tokenizer, [token])[0]


def token_texts(tokenizer: Any, ids: Sequence[int]) -> tuple[str, ...]:
    """The text of each token of a text. ids: vocabulary ids, in order."""
    texts = [_alone(tokenizer, token) for token in ids]
    start = 0
    while start < len(texts):
        if BROKEN not in texts[start]:
            start += 1
            continue
        end = start
        while end < len(texts) and BROKEN in texts[end]:
            end += 1
        held = [_bytes(tokenizer, token) for token in ids[start:end]]
        known = [one for one in held if one is not None]
        if len(known) == len(held):  # else the vocabulary is of an unknown kind
            texts[start:end] = _parts(known)
        start = end
    return tuple(texts)


def _alone(tokenizer: Any, token: int) -> str:
    text = str(tokenizer.decode([token], clean_up_tokenization_spaces=False))
    piece = tokenizer.convert_ids_to_tokens(token)
    if not isinstance(piece, str) or not piece.startswith("▁") or text.startswith("▁"):
        return text
    spaces = len(piece) - len(piece.lstrip("▁"))
    return " " * (spaces - (len(text) - len(text.lstrip(" ")))) + text


def _bytes(tokenizer: Any, token: int) -> bytes | None:
    """The bytes of a token that decodes to broken text; None when they are not known."""
    piece = str(tokenizer.convert_ids_to_tokens(token))
    if found := BYTE_TOKEN.fullmatch(piece):
        return bytes.fromhex(found[1])
    if all(character in BYTE_OF for character in piece):
        return bytes(BYTE_OF[character] for character in piece)
    return None


def _parts(held: Sequence[bytes]) -> list[str]:
    """The text of each token of a run, from the bytes of each."""
    whole = b"".join(held)
    owner = [number for number, one in enumerate(held) for _ in one]
    texts = [""] * len(held)
    at = 0
    while at < len(whole):
        character, size = _character(whole[at:])
        owners = list(dict.fromkeys(owner[at : at + size]))
        for part, number in enumerate(owners, 1):
            texts[number] += character if len(owners) == 1 else f"{character}[{part}/{len(owners)}]"
        at += size
    return texts


def _character(data: bytes) -> tuple[str, int]:
    """The first character and its number of bytes; the first byte in hexadecimal when it begins none."""
    for size in range(1, 5):
        try:
            return data[:size].decode(), size
        except UnicodeDecodeError:
            continue
    return f"<0x{data[0]:02X}>", 1
